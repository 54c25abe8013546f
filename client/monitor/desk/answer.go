// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk

import (
	"bytes"
	"compress/gzip"
	"embed"
	"errors"
	"html/template"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/vasistas/vasistas/client/monitor/index"
)

//go:embed static/*.css
var static embed.FS

//go:embed templates/*.html
var templates embed.FS

// An Answer is a page, a text, or a download.
type Answer struct {
	// Template is a file of templates without its ending, which gets the Request, with Data as its Data.
	Template string
	Data     any

	// Type is the media type of Body or Stream, if Template is "".
	Type string
	Body []byte
	// Stream returns the next part of a download with the file name Name, and nil at its end. It is not cached.
	Stream func() ([]byte, error)
	Name   string
}

// An httpError is an answer other than 200. The text of its key says what is wrong.
type httpError struct {
	status int
	key    string
}

func (e *httpError) Error() string { return e.key }

var (
	errNotFound = &httpError{http.StatusNotFound, "error.notfound"}
	errAt       = &httpError{http.StatusBadRequest, "error.at"}
	errPresent  = &httpError{http.StatusBadRequest, "error.present"}
)

// parseTemplates returns the layout with the content of each page.
func parseTemplates() (map[string]*template.Template, error) {
	layout, err := template.ParseFS(templates, "templates/layout.html", "templates/parts.html", "templates/list_parts.html")
	if err != nil {
		return nil, err
	}
	files, err := templates.ReadDir("templates")
	if err != nil {
		return nil, err
	}
	pages := make(map[string]*template.Template)
	for _, f := range files {
		t, err := layout.Clone()
		if err == nil {
			_, err = t.ParseFS(templates, "templates/"+f.Name())
		}
		if err != nil {
			return nil, err
		}
		pages[strings.TrimSuffix(f.Name(), ".html")] = t
	}
	return pages, nil
}

func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Language, Accept-Encoding")
}

// cached is a page, made at most once a second, by one request, while others wait for that one.
type cached struct {
	mu   sync.Mutex
	made time.Time
	kind string
	body []byte
	gzip []byte
}

// answer makes a page, or takes it from the cache, and writes it.
func (d *Desk) answer(w http.ResponseWriter, q *Request, make page) {
	key := q.Lang.Code + " " + q.HTTP.URL.RequestURI()
	p, ok := d.cache.Get(key)
	if !ok {
		p = new(cached)
		if old, known, _ := d.cache.PeekOrAdd(key, p); known {
			p = old
		}
	}
	stream, err := d.fill(p, q, make)
	switch {
	case err != nil:
		d.cache.Remove(key)
		d.fail(w, q, err)
	case stream != nil:
		d.cache.Remove(key)
		d.stream(w, q, stream)
	default:
		p.mu.Lock()
		kind, body, zipped := p.kind, p.body, p.gzip
		p.mu.Unlock()
		d.write(w, q.HTTP, http.StatusOK, kind, body, zipped)
	}
}

// place waits for one of the maxMaking places. A request holds a place only while a page or a part of a download is
// made, and not while its reader reads.
func (d *Desk) place(q *Request) (leave func(), err error) {
	select {
	case d.making <- struct{}{}:
		return func() { <-d.making }, nil
	case <-q.HTTP.Context().Done():
		return nil, q.HTTP.Context().Err()
	}
}

// fill makes the page unless it is new. It returns an answer that is a download.
func (d *Desk) fill(p *cached, q *Request, make page) (*Answer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.body != nil && time.Since(p.made) < time.Second {
		return nil, nil
	}
	if !q.present || q.Get("at") != "" { // the first screens wait for no page that costs more
		leave, err := d.place(q)
		if err != nil {
			return nil, err
		}
		defer leave()
	}
	a, err := make(q)
	if err != nil || a.Stream != nil {
		return a, err
	}
	kind, body := a.Type, a.Body
	if a.Template != "" {
		if body, err = d.render(q, a); err != nil {
			return nil, err
		}
		kind = "text/html; charset=utf-8"
	}
	p.made, p.kind, p.body, p.gzip = time.Now(), kind, body, compress(body)
	return nil, nil
}

func (d *Desk) render(q *Request, a *Answer) ([]byte, error) {
	q.Page, q.Data = a.Template, a.Data
	var b bytes.Buffer
	err := d.pages[a.Template].ExecuteTemplate(&b, "layout.html", q)
	return b.Bytes(), err
}

// stream writes a download. One that fails ends early, and the reader's client sees that.
func (d *Desk) stream(w http.ResponseWriter, q *Request, a *Answer) {
	w.Header().Set("Content-Type", a.Type)
	w.Header().Set("Content-Disposition", "attachment; filename="+strconv.Quote(a.Name))
	if q.HTTP.Method == http.MethodHead {
		return
	}
	for {
		part, err := d.part(q, a)
		if part == nil && err == nil {
			return
		}
		if err != nil {
			d.c.Logger.Warn("a download of the desk", "path", q.HTTP.URL.Path, "err", err)
		} else if err = d.send(w, part); err != nil { // the reader is gone, or reads too slowly
			d.c.Logger.Debug("a download of the desk", "path", q.HTTP.URL.Path, "err", err)
		}
		if err != nil {
			panic(http.ErrAbortHandler)
		}
	}
}

func (d *Desk) part(q *Request, a *Answer) ([]byte, error) {
	leave, err := d.place(q)
	if err != nil {
		return nil, err
	}
	defer leave()
	return a.Stream()
}

// Bounds of what slow readers cost. A reader must take a chunk within patience, or within haste while the unread
// answers of all readers have more than maxUnread bytes.
const (
	chunk     = 16 << 10
	patience  = 10 * time.Second
	haste     = time.Second
	maxUnread = 32 << 20
)

// send writes to a reader who may be slow. After an error the connection is of no use.
func (d *Desk) send(w http.ResponseWriter, b []byte) error {
	d.unread.Add(int64(len(b)))
	defer d.unread.Add(-int64(len(b)))
	c := http.NewResponseController(w)
	for part := range slices.Chunk(b, chunk) {
		wait := patience
		if d.unread.Load() > maxUnread {
			wait = haste
		}
		_ = c.SetWriteDeadline(time.Now().Add(wait)) // a connection that has none fails in Write
		if _, err := w.Write(part); err != nil {
			return err
		}
		if err := c.Flush(); err != nil {
			return err
		}
	}
	_ = c.SetWriteDeadline(time.Time{}) // the server sets that of the next request
	return nil
}

// fail answers with a page that says what is wrong.
func (d *Desk) fail(w http.ResponseWriter, q *Request, err error) {
	if q.HTTP.Context().Err() != nil { // the reader has gone
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	status, known := errors.AsType[*httpError](err)
	switch {
	case known:
	case errors.Is(err, index.ErrFile), errors.Is(err, errCopied):
		d.c.Logger.Warn("a page of the desk", "path", q.HTTP.URL.Path, "err", err)
		if status = errNoIndex; errors.Is(err, errCopied) {
			status = &httpError{http.StatusServiceUnavailable, "error.copied"}
		}
	default:
		d.c.Logger.Error("a page of the desk", "path", q.HTTP.URL.Path, "err", err)
		status = &httpError{http.StatusInternalServerError, "error.internal"}
	}
	q.present = true // an error is fixed to no head
	if status == errAt || status == errPresent {
		v := q.HTTP.URL.Query()
		v.Del("at")
		q.HTTP.URL.RawQuery = v.Encode()
	}
	body, err := d.render(q, &Answer{Template: "error", Data: status.key})
	if err != nil {
		d.c.Logger.Warn("the page of an error", "err", err)
		body = []byte(template.HTMLEscapeString(q.T(status.key)))
	}
	d.write(w, q.HTTP, status.status, "text/html; charset=utf-8", body, nil)
}

func (d *Desk) write(w http.ResponseWriter, r *http.Request, status int, kind string, body, zipped []byte) {
	w.Header().Set("Content-Type", kind)
	if zipped != nil && acceptsGzip(r) {
		w.Header().Set("Content-Encoding", "gzip")
		body = zipped
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return
	}
	if err := d.send(w, body); err != nil {
		panic(http.ErrAbortHandler)
	}
}

// acceptsGzip follows RFC 9110, section 12.5.3, for a reader that names gzip.
func acceptsGzip(r *http.Request) bool {
	for part := range strings.SplitSeq(strings.Join(r.Header.Values("Accept-Encoding"), ","), ",") {
		coding, q, _ := strings.Cut(part, ";")
		if strings.EqualFold(strings.TrimSpace(coding), "gzip") {
			weight, err := strconv.ParseFloat(strings.TrimPrefix(strings.TrimSpace(q), "q="), 64)
			return q == "" || err == nil && weight > 0
		}
	}
	return false
}

func compress(body []byte) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Write(body)
	z.Close()
	return b.Bytes()
}

// styles are the compressed stylesheets, by name.
var styles = sync.OnceValue(func() map[string][2][]byte {
	all := make(map[string][2][]byte)
	files, _ := static.ReadDir("static")
	for _, f := range files {
		b, _ := static.ReadFile(path.Join("static", f.Name()))
		all[f.Name()] = [2][]byte{b, compress(b)}
	}
	return all
})

func (d *Desk) serveStatic(w http.ResponseWriter, r *http.Request, name string) {
	file, ok := styles()[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=3600")
	d.write(w, r, http.StatusOK, "text/css; charset=utf-8", file[0], file[1])
}
