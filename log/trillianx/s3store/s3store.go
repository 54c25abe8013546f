// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package s3store keeps the tiles of a log in an S3 bucket, from which a CDN can serve
// readers. It is a separate package, since it links a heavy client.
//
// A put writes an object only if none has its name. The service must support that
// (If-None-Match), or the later of two writers would win. An answered put is as durable
// as the service promises. The service is not trusted: readers check tiles against a
// cosigned head.
//
// Objects are stored as they are served: application/octet-stream, not compressed, to
// be cached for ever. Partial tiles are removed once the full one is stored; readers
// then request that (C2SP tlog-tiles).
package s3store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/vasistas/vasistas/log/trillianx"
)

// Store is a [trillianx.Tiles] in a bucket.
type Store struct {
	client         *minio.Client
	bucket, prefix string
}

var _ trillianx.Tiles = (*Store)(nil)

// Open returns the tiles in an existing bucket, at
//
//	s3://BUCKET/PREFIX[?endpoint=URL&region=NAME]
//
// The endpoint is Amazon's if none is given. Credentials come from the environment
// (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN), the file that
// AWS_SHARED_CREDENTIALS_FILE names, or the machine's role.
func Open(ctx context.Context, place string) (*Store, error) {
	s, err := open(ctx, place)
	if err != nil {
		return nil, fmt.Errorf("opening the bucket of tiles: %w", err)
	}
	return s, nil
}

func open(ctx context.Context, place string) (*Store, error) {
	u, err := url.Parse(place)
	if err != nil {
		return nil, err
	}
	if u.Scheme != "s3" || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, fmt.Errorf("%q is not s3://BUCKET/PREFIX", place)
	}
	q := u.Query()
	for name := range q {
		if name != "endpoint" && name != "region" {
			return nil, fmt.Errorf("%q: there is no option %q", place, name)
		}
	}
	endpoint := &url.URL{Scheme: "https", Host: "s3.amazonaws.com"}
	if e := q.Get("endpoint"); e != "" {
		if endpoint, err = url.Parse(e); err != nil {
			return nil, err
		}
		if endpoint.Scheme != "http" && endpoint.Scheme != "https" || endpoint.Host == "" || strings.Trim(endpoint.Path, "/") != "" {
			return nil, fmt.Errorf("the endpoint %q is not http(s)://HOST[:PORT]", e)
		}
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds: credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{Client: &http.Client{Transport: http.DefaultTransport}},
		}),
		Secure: endpoint.Scheme == "https",
		Region: q.Get("region"),
	})
	if err != nil {
		return nil, err
	}
	s := &Store{client: client, bucket: u.Host, prefix: strings.Trim(u.Path, "/")}
	if s.prefix != "" {
		s.prefix += "/"
	}
	ok, err := client.BucketExists(ctx, s.bucket)
	if err == nil && !ok {
		err = fmt.Errorf("there is no bucket %q; create it with the access rules that you want", s.bucket)
	}
	return s, err
}

// Get implements [trillianx.Tiles].
func (s *Store) Get(ctx context.Context, path string) (b []byte, err error) {
	o, err := s.client.GetObject(ctx, s.bucket, s.prefix+path, minio.GetObjectOptions{})
	if err != nil {
		return nil, notFound(path, err)
	}
	defer func() { err = errors.Join(err, o.Close()) }()
	if b, err = io.ReadAll(io.LimitReader(o, trillianx.MaxTile+1)); err != nil {
		return nil, notFound(path, err)
	}
	if len(b) > trillianx.MaxTile {
		return nil, fmt.Errorf("%s is longer than any tile", path)
	}
	return b, nil
}

// notFound turns the error about a missing object into fs.ErrNotExist.
func notFound(path string, err error) error {
	if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		return &fs.PathError{Op: "get", Path: path, Err: fs.ErrNotExist}
	}
	return err
}

// forEver is the Cache-Control of tiles, which never change.
const forEver = "public, max-age=31536000, immutable"

// Put implements [trillianx.Tiles].
func (s *Store) Put(ctx context.Context, path string, b []byte) error {
	for wait := 10 * time.Millisecond; ; wait *= 2 {
		err := s.put(ctx, path, b)
		// While another put of that name is in progress, the service refuses this one
		// and doesn't return the object yet.
		if !errors.Is(err, errUnderWay) || wait > time.Second {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-time.After(wait):
		}
	}
}

var errUnderWay = errors.New("another put of it is under way")

func (s *Store) put(ctx context.Context, path string, b []byte) error {
	o := minio.PutObjectOptions{ContentType: "application/octet-stream", CacheControl: forEver, SendContentMd5: true, DisableMultipart: true}
	o.SetMatchETagExcept("*")
	_, err := s.client.PutObject(ctx, s.bucket, s.prefix+path, bytes.NewReader(b), int64(len(b)), o)
	if err == nil {
		return nil
	}
	if r := minio.ToErrorResponse(err); r.StatusCode != http.StatusPreconditionFailed && r.StatusCode != http.StatusConflict {
		return err
	}
	old, gerr := s.Get(ctx, path)
	switch {
	case errors.Is(gerr, fs.ErrNotExist):
		return fmt.Errorf("s3://%s/%s%s: %w: %w", s.bucket, s.prefix, path, errUnderWay, err)
	case gerr != nil:
		return errors.Join(err, gerr)
	case !bytes.Equal(old, b):
		return fmt.Errorf("s3://%s/%s%s: %w", s.bucket, s.prefix, path, trillianx.ErrOtherTile)
	}
	return nil
}

// RemovePartials implements [trillianx.Tiles].
func (s *Store) RemovePartials(ctx context.Context, path string) error {
	for o := range s.client.ListObjects(ctx, s.bucket, minio.ListObjectsOptions{Prefix: s.prefix + path + ".p/"}) {
		if o.Err != nil {
			return o.Err
		}
		if err := s.client.RemoveObject(ctx, s.bucket, o.Key, minio.RemoveObjectOptions{}); err != nil {
			return err
		}
	}
	return nil
}
