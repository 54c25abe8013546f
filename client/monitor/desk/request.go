// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/log/round"
)

// A Request is a request for a page, with what the page's template may call. Data is the page's own.
type Request struct {
	*Lang
	HTTP *http.Request
	Log  *Log // nil: the page is about all logs
	Now  time.Time
	Arg  []string // what the stars of the route stand for
	Page string   // name of the page's template
	Data any

	desk    *Desk
	report  *facts.Report
	present bool // the page is one of present
}

// match reports whether a path is that of a route, and sets Arg.
func (q *Request) match(pattern, path string) bool {
	p, parts := strings.Split(pattern, "/"), strings.Split(path, "/")
	if len(p) != len(parts) {
		return false
	}
	q.Arg = nil
	for i := range p {
		switch {
		case p[i] == "*" && parts[i] != "":
			q.Arg = append(q.Arg, parts[i])
		case p[i] != parts[i]:
			return false
		}
	}
	return true
}

// Get returns a parameter of the request.
func (q *Request) Get(name string) string { return q.HTTP.URL.Query().Get(name) }

// At returns the size of the head to which the request fixes the page, 0 for the newest.
func (q *Request) At() (uint64, error) {
	s := q.Get("at")
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != s {
		return 0, errAt
	}
	return n, nil
}

// params are the parameters of pages.
var params = []string{"all", "at", "by", "category", "instrument", "lang", "month", "offence", "order", "page", "party", "rule", "sort", "state", "type", "verdict"}

// known returns a request without the parameters that no page has: they would make other pages for
// the cache, and stand in the links of a page.
func known(r *http.Request) *http.Request {
	v := r.URL.Query()
	maps.DeleteFunc(v, func(name string, _ []string) bool { return !slices.Contains(params, name) })
	for name := range v {
		v[name] = v[name][:1]
	}
	r = r.Clone(r.Context())
	r.URL.RawQuery = v.Encode()
	return r
}

// present are the pages that show the newest head only, by their path.
var present = map[string]bool{"": true, "trust": true, "witnesses": true, "custodians": true, "feed.atom": true}

// Fixed reports whether the page is what it will be for ever: it says nothing about the present.
func (q *Request) Fixed() bool { return q.Get("at") != "" && !q.present }

// set sets parameters, given as name and value in turn. The value "" deletes a parameter.
func set(v url.Values, params []string) {
	for i := 0; i+1 < len(params); i += 2 {
		if v.Set(params[i], params[i+1]); params[i+1] == "" {
			v.Del(params[i])
		}
	}
}

// Link returns the address of a page about this log, with parameters as set takes them. The address keeps the
// language and the head that the reader has chosen.
func (q *Request) Link(page string, params ...string) string {
	v := url.Values{}
	if s := q.Get("lang"); s != "" {
		v.Set("lang", s)
	}
	if s := q.Get("at"); s != "" && !present[page] {
		v.Set("at", s)
	}
	set(v, params)
	base := "/"
	if q.Log != nil {
		base = "/desk/" + q.Log.hash + "/"
	}
	u := url.URL{Path: base + page, RawQuery: v.Encode()}
	return u.String()
}

// Home returns the address of the list of all logs, or of the only log.
func (q *Request) Home() string {
	if s := q.Get("lang"); s != "" {
		return "/?" + url.Values{"lang": {s}}.Encode()
	}
	return "/"
}

// In returns the address of this page in another language.
func (q *Request) In(lang string) string {
	v := q.HTTP.URL.Query()
	v.Set("lang", lang)
	return (&url.URL{Path: q.HTTP.URL.Path, RawQuery: v.Encode()}).String()
}

// Languages returns the codes of all languages.
func (q *Request) Languages() []string { return codes }

// Several reports whether the desk has more than one log.
func (q *Request) Several() bool { return len(q.desk.logs) > 1 }

// A NavLink is a page that each page about a log links to.
type NavLink struct{ Path, Page, Key string }

// Nav returns the pages of a log, in the order in which a reader meets them.
func (q *Request) Nav() []NavLink {
	return []NavLink{
		{"", "first", "nav.first"},
		{"trust", "trust", "trust.title"},
		{"witnesses", "witnesses", "witnesses.title"},
		{"custodians", "custodians", "custodians.title"},
		{"entries", "entries", "nav.entries"},
		{"duties", "duties", "nav.duties"},
		{"breaches", "breaches", "breaches.title"},
		{"timeline", "timeline", "nav.timeline"},
		{"charts", "charts", "nav.charts"},
	}
}

// Of returns the request with other data, for a part of a page.
func (q *Request) Of(data any) *Request {
	of := *q
	of.Data = data
	return &of
}

// Founding returns the leaf hash of the log's first charter, "" if it is not known.
func (q *Request) Founding() string {
	if all := q.Report().Charters; len(all) > 0 && all[len(all)-1].Index == 0 {
		return all[len(all)-1].Leaf.String()
	}
	return ""
}

// IndexNotice says, in English, why lists may lack something; "" if they do not.
func (q *Request) IndexNotice() string {
	if q.Log.Index == nil {
		return ""
	}
	return clean(q.Log.Index.Notice())
}

// Current counts the witnesses' keys that have cosigned the newest head.
func (q *Request) Current() (n int) {
	for _, w := range q.Report().Witnesses {
		if !w.Time.IsZero() && w.Behind == 0 {
			n++
		}
	}
	return n
}

// Cosigned counts the auditors' keys whose last answer is a cosignature.
func (q *Request) Cosigned() (n int) {
	for i := range q.Report().Auditors {
		if q.Report().Auditors[i].Kind == round.Cosigned {
			n++
		}
	}
	return n
}
