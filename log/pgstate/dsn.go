// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package pgstate

import (
	"net/url"
	"regexp"
)

// urlPassword returns whether a DSN is a URL with a password.
func urlPassword(dsn string) bool {
	u, err := url.Parse(dsn)
	if err != nil {
		return false
	}
	_, has := u.User.Password()
	return has || u.Query().Has("password") || u.Query().Has("sslpassword")
}

var keyword = regexp.MustCompile(`(^|\s)(ssl)?password\s*=`)

// keywordPassword returns whether a DSN is a list of settings with a password.
func keywordPassword(dsn string) bool { return keyword.MatchString(dsn) }
