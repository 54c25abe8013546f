// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package browser_test

import (
	"bytes"
	"fmt"
	"image/png"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/browser"
)

// page is one without a fault, around a body.
func page(body string) string {
	return `<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Page</title>
<meta name="viewport" content="width=device-width"><link rel="icon" href="data:,"></head>
<body><main><h1>Heading</h1>` + body + `</main></body></html>`
}

// serve serves a page for each path.
func serve(t *testing.T, pages map[string]string) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, ok := pages[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		if strings.HasPrefix(r.URL.Path, "/strict") {
			w.Header().Set("Content-Security-Policy", "default-src 'none'; img-src 'self' data:")
		}
		fmt.Fprint(w, strings.ReplaceAll(body, "LANGUAGE", r.Header.Get("Accept-Language")))
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestFindsFaults: a page without a fault has none, and each fault is found.
func TestFindsFaults(t *testing.T) {
	b := browser.Start(t)
	for path, c := range map[string]struct {
		body string
		view browser.View
		want string // "": no fault
	}{
		"/good":          {body: `<p>Text, and <a href="/good">a link</a>.</p>`},
		"/strict":        {body: `<p>Text</p>`},
		"/alt":           {body: `<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">`, want: "image-alt"},
		"/contrast":      {body: `<p style="color: #bbb; background: #fff">Text</p>`, want: "color-contrast"},
		"/label":         {body: `<input name="q">`, want: "label"},
		"/foreign":       {body: `<img alt="a picture" src="http://other.invalid/a.png">`, want: "another host: http://other.invalid/a.png"},
		"/console":       {body: `<script>console.error("oh no")</script>`, want: "oh no"},
		"/exception":     {body: `<script>undefined.a</script>`, want: "exception"},
		"/missing":       {body: `<img alt="a picture" src="/none.png">`, want: "404"},
		"/strict/script": {body: `<script>document.title = "owned"</script>`, want: "Content Security Policy"},
		"/strict/style":  {body: `<p style="color: red">Text</p>`, want: "Content Security Policy"},
		"/strict/load":   {body: `<img alt="a picture" src="http://other.invalid/a.png">`, want: "Content Security Policy"},
		"/wide":          {body: `<p style="width: 500px">Text</p>`, view: browser.View{Width: 360}, want: "wider than its window: 5"},
		"/narrow":        {body: `<p style="width: 300px">Text</p>`, view: browser.View{Width: 360}},
		"/dialog":        {body: `<script>setTimeout(() => alert("hello"))</script>`, view: browser.View{NoScript: true}},
	} {
		t.Run(path[1:], func(t *testing.T) {
			p := b.Open(t, serve(t, map[string]string{path: page(c.body)})+path, c.view)
			found := p.Faults()
			if !c.view.NoScript {
				found = append(found, p.Barriers()...)
			}
			if c.want == "" && len(found) != 0 || c.want != "" && !strings.Contains(strings.Join(found, "\n"), c.want) {
				t.Errorf("found %q; want %q", found, c.want)
			}
		})
	}
}

// TestViews: the page sees the view that was asked for.
func TestViews(t *testing.T) {
	b := browser.Start(t)
	url := serve(t, map[string]string{"/": page(`<p id="language">LANGUAGE</p><p id="script">off</p>
<script>document.getElementById("script").textContent = "on"</script>`)})
	const seen = `[document.getElementById("language").textContent, document.getElementById("script").textContent, innerWidth,
		matchMedia("(prefers-color-scheme: dark)").matches, matchMedia("print").matches].join(" ")`
	for want, v := range map[string]browser.View{
		"en on 1280 false false": {},
		"fr on 360 true false":   {Language: "fr", Width: 360, Dark: true},
		"de off 800 false true":  {Language: "de", Width: 800, Print: true, NoScript: true},
	} {
		p := b.Open(t, url, v)
		if got := browser.Eval[string](p, seen); got != want {
			t.Errorf("%s; want %s", got, want)
		}
		if i, err := png.DecodeConfig(bytes.NewReader(p.Picture(false))); err != nil || v.Width != 0 && i.Width != v.Width {
			t.Errorf("%s: a picture of %d pixels, %v", want, i.Width, err)
		}
	}
	slow := b.Open(t, url, browser.View{Latency: 300 * time.Millisecond, Rate: 200_000})
	if d := slow.FirstPaint(); d < 300*time.Millisecond {
		t.Errorf("the first paint after %v", d)
	}
}

// TestKeyboard: the Tab key reaches all, and a focus that doesn't show is found.
func TestKeyboard(t *testing.T) {
	b := browser.Start(t)
	below := strings.Repeat("<p>Text</p>", 100)
	for name, c := range map[string]struct{ body, order, fault string }{
		"good":      {`<a href="/1">One</a><details><summary>Two</summary><a href="/2">Hidden</a></details>` + below + `<button>Three</button>`, "a One, summary Two, button Three", ""},
		"invisible": {`<style>a:focus { outline: none }</style><a href="/1">One</a>`, "a One", "a One has the focus, which does not show"},
		"outside":   {`<a href="/1" style="position: fixed; left: -900px">One</a>`, "a One", "a One has the focus, which does not show"},
		"trap":      {`<a href="/1" onfocus="this.blur()">One</a><a href="/2">Two</a>`, "a Two", "a One is not reached with the keyboard"},
	} {
		t.Run(name, func(t *testing.T) {
			p := b.Open(t, serve(t, map[string]string{"/": page(c.body)})+"/", browser.View{})
			order, faults := p.Keyboard()
			if got := strings.Join(order, ", "); got != c.order {
				t.Errorf("the order is %q; want %q", got, c.order)
			}
			if got := strings.Join(faults, "\n"); got != c.fault {
				t.Errorf("found %q; want %q", got, c.fault)
			}
		})
	}
}
