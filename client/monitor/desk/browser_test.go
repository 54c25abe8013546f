// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk_test

import (
	"cmp"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/monitor"
	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/internal/browser"
	"github.com/vasistas/vasistas/internal/cosigning"
	"github.com/vasistas/vasistas/internal/world/written"
)

// showAll serves the desk of logs, and waits until the first line of each is the verdict under which the log stands.
func showAll(t testing.TB, logs map[facts.Verdict]*aLog) (url string) {
	t.Helper()
	var all []*written.Log
	for _, verdict := range slices.Sorted(maps.Keys(logs)) {
		all = append(all, logs[verdict].Log)
	}
	url = show(t, func(c *monitor.Config) {
		c.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError}))
		c.Run.Poll, c.URLs = 200*time.Millisecond, make(map[string]string)
		c.Unpinned = func(origin string) bool { return logs[facts.Silent] != nil && origin == logs[facts.Silent].Origin }
		for _, l := range logs {
			c.URLs[l.Origin] = l.url
		}
	}, all...)
	for verdict, l := range logs {
		eventually(t, func() error {
			if body := page(t, url+l.path("")); !strings.Contains(body, `<strong class="verdict">`+string(verdict)+`</strong>`) {
				return fmt.Errorf("%s is not %s:\n%s", l.Origin, verdict, body)
			}
			if resp, body := get(t, url+l.path("entries")); resp.StatusCode != http.StatusOK {
				return fmt.Errorf("the entries of %s: %d\n%s", l.Origin, resp.StatusCode, body)
			}
			return nil
		})
	}
	return url
}

func (l *aLog) path(page string) string {
	return "/desk/" + cosigning.OriginHash(l.Origin) + "/" + page
}

// parts returns the path of a page, without figures and hashes, and the path with each parameter but the language.
func parts(t testing.TB, address string) []string {
	u, err := url.Parse(address)
	check(t, err)
	path := regexp.MustCompile(`[0-9a-f]{64}|[0-9]+`).ReplaceAllString(u.Path, "*")
	list := []string{path}
	for _, name := range slices.Sorted(maps.Keys(u.Query())) {
		if name != "lang" {
			list = append(list, path+" "+name)
		}
	}
	return list
}

// next are the addresses to which a page leads: its links, and its form with one field filled in.
const next = `[...document.links].map(a => a.href).concat([...document.forms].flatMap(f =>
	[...f.elements].filter(e => e.name && (e.tagName == "SELECT" ? e.options.length > 1 : e.type != "hidden")).map(e => {
		const u = new URL(f.action);
		u.searchParams.set(e.name, e.tagName == "SELECT" ? e.options[1].value : e.value || "x");
		return u.href })))`

// visit opens pages below an address to which links lead from there on: each page once and, if all, each
// parameter of it once. It returns their addresses.
func visit(t *testing.T, b *browser.Browser, start string, v browser.View, all bool, look func(*testing.T, *browser.Page, string)) (seen []string) {
	known := map[string]bool{}
	for queue := []string{start}; len(queue) > 0; queue = queue[1:] {
		is := parts(t, queue[0])
		if !all {
			is = is[:1]
		}
		fresh := slices.DeleteFunc(slices.Clone(is), func(part string) bool { return known[part] })
		if len(fresh) == 0 || !strings.HasPrefix(queue[0], start) || regexp.MustCompile(`\.csv$|\.atom$|/evidence$`).MatchString(is[0]) {
			continue
		}
		for _, part := range fresh {
			known[part] = true
		}
		seen = append(seen, queue[0])
		t.Run(fresh[len(fresh)-1], func(t *testing.T) {
			p := b.Open(t, queue[0], v)
			look(t, p, queue[0])
			for _, to := range browser.Eval[[]string](p, next) {
				queue = append(queue, strings.TrimSuffix(to, "#main"))
			}
		})
	}
	return seen
}

// TestBrowser looks at the pages of four logs as people do.
func TestBrowser(t *testing.T) {
	logs := fourLogs(t)
	url := showAll(t, logs)
	b := browser.Start(t)
	t.Run("pages", func(t *testing.T) { testPages(t, b, url, logs[facts.OK]) })
	t.Run("verdicts", func(t *testing.T) { testVerdicts(t, b, url, logs) })
	t.Run("narrow", func(t *testing.T) { testNarrow(t, b, url, logs[facts.OK]) })
	t.Run("unpinned", func(t *testing.T) { testUnpinned(t, b, url, logs) })
	t.Run("markup", func(t *testing.T) { testMarkup(t, b, url, logs[facts.Wrong]) })
	if *pictures {
		t.Run("pictures", func(t *testing.T) { takePictures(t, b, url, logs) })
	}
}

// testPages: each page, with each of its parameters, has no fault: wide and light in English, narrow and dark in French,
// without JavaScript in German. Each page is searched for barriers in English. One page of each kind of content is
// searched for barriers when it is dark, and for what the keyboard does not reach.
func testPages(t *testing.T, b *browser.Browser, url string, l *aLog) {
	plain := func(address string) bool { return !strings.Contains(address, "?") } // a filter changes the rows, and not the page
	check := func(t *testing.T, p *browser.Page, full bool, lang string) {
		for _, f := range p.Faults() {
			t.Error(f)
		}
		if full {
			for _, f := range p.Barriers() {
				t.Error(f)
			}
		}
		if got := browser.Eval[string](p, "document.documentElement.lang"); got != lang {
			t.Errorf("the language is %q; want %q", got, lang)
		}
	}
	all := visit(t, b, url+l.path(""), browser.View{}, true, func(t *testing.T, p *browser.Page, address string) {
		check(t, p, plain(address), "en")
	})
	if len(all) < 15 {
		t.Errorf("only %d kinds of pages: %q", len(all), all)
	}
	key := regexp.MustCompile(`/(entries|duties|charts|entry/[0-9]+)?$`)
	for _, address := range append(slices.DeleteFunc(all, func(a string) bool { return !plain(a) }), url+"/") {
		name := parts(t, address)[0]
		t.Run("fr "+name, func(t *testing.T) {
			p := b.Open(t, address+"?lang=fr", browser.View{Width: 360, Dark: true})
			check(t, p, key.MatchString(address), "fr")
		})
		t.Run("de "+name, func(t *testing.T) {
			p := b.Open(t, address+"?lang=de", browser.View{NoScript: true})
			check(t, p, false, "de")
			if !key.MatchString(address) {
				return
			}
			order, faults := p.Keyboard()
			if len(faults) > 0 || len(order) < 4 {
				t.Errorf("the Tab key goes through %q: %q", order, faults)
			}
		})
	}
}

// testNarrow: a list begins on the first screen of a phone, where its filter is closed unless it is used.
func testNarrow(t *testing.T, b *browser.Browser, url string, l *aLog) {
	for _, c := range []struct {
		page string
		view browser.View
		open bool
	}{
		{"entries", browser.View{Width: 400, Height: 800, Language: "fr"}, false},
		{"duties", browser.View{Width: 400, Height: 800, Language: "de"}, false},
		{"entries?type=warrant", browser.View{Width: 400, Height: 800}, true},
		{"entries", browser.View{}, true},
	} {
		t.Run(fmt.Sprint(c.page, " ", c.view.Width), func(t *testing.T) {
			p := b.Open(t, url+l.path(c.page), c.view)
			if open := browser.Eval[bool](p, `document.querySelector(".filter select").checkVisibility({contentVisibilityAuto: true})`); open != c.open {
				t.Errorf("the filter is open: %v", open)
			}
			if top := browser.Eval[float64](p, `document.querySelector("tbody").getBoundingClientRect().top`); !c.open && top > 720 {
				t.Errorf("the list begins at %v", top)
			}
		})
	}
}

// testUnpinned: each page of a log that is not pinned says so before its content, and no other page does.
func testUnpinned(t *testing.T, b *browser.Browser, url string, logs map[facts.Verdict]*aLog) {
	for lang, says := range map[string]string{"en": "Not pinned.", "fr": "Non confirmé.", "de": "Nicht bestätigt."} {
		for _, page := range []string{"", "entries", "entry/0"} {
			if lang != "en" && page != "" {
				continue // each has the same frame
			}
			t.Run(lang+" "+page, func(t *testing.T) {
				p := b.Open(t, url+logs[facts.Silent].path(page), browser.View{Width: 400, Height: 800, Language: lang})
				text := browser.Eval[string](p, `document.querySelector("header .notice")?.innerText ?? ""`)
				top := browser.Eval[float64](p, `document.querySelector(".notice").getBoundingClientRect().top`)
				if !strings.HasPrefix(text, says) || !strings.Contains(text, logs[facts.Silent].Charter.Leaf.String()) || top > 800 {
					t.Errorf("at %v: %q", top, text)
				}
			})
		}
	}
	if p := b.Open(t, url+logs[facts.OK].path(""), browser.View{}); browser.Eval[bool](p, `document.querySelector(".notice") != null`) {
		t.Error("a log that is pinned has the notice")
	}
}

// testVerdicts: the first words that a reader sees about a log are its verdict.
func testVerdicts(t *testing.T, b *browser.Browser, url string, logs map[facts.Verdict]*aLog) {
	for verdict, l := range logs {
		for _, v := range []browser.View{{}, {Width: 360, Dark: true, Language: "fr"}, {Print: true, Width: 800, Language: "de", NoScript: true}} {
			lang := cmp.Or(v.Language, "en")
			t.Run(string(verdict)+" "+lang, func(t *testing.T) {
				p := b.Open(t, url+l.path(""), v)
				if verdict != facts.OK { // testPages checks that one
					p.Check()
				}
				said := browser.Eval[string](p, `document.querySelector(".verdict").innerText`)
				top := browser.Eval[float64](p, `document.querySelector(".verdict").getBoundingClientRect().top`)
				if want := verdicts[lang][verdict]; said != want || top < 0 || top > 600 {
					t.Errorf("the verdict %q is %v pixels below the top; want %q", said, top, want)
				}
			})
		}
	}
}

// testMarkup: what a hostile log writes is text on every page.
func testMarkup(t *testing.T, b *browser.Browser, url string, l *aLog) {
	shown := false
	visit(t, b, url+l.path(""), browser.View{Width: 360}, false, func(t *testing.T, p *browser.Page, _ string) {
		if faults := p.Faults(); faults != nil {
			t.Error(faults)
		}
		if n := browser.Eval[int](p, `document.querySelectorAll("script, img, [onerror]").length`); n > 0 {
			t.Errorf("%d elements of the log's", n)
		}
		shown = shown || strings.Contains(browser.Eval[string](p, "document.body.innerText"), "onerror=console.error(1)>")
	})
	if !shown {
		t.Error("no page shows the markup as text")
	}
}
