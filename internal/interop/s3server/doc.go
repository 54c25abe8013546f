// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package s3server pins the S3 server that the tests of log/trillianx/s3store run:
// versitygw, which keeps objects as files. It is a separate module, so that its
// dependencies stay out of the main one.
//
//	go tool versitygw
package s3server
