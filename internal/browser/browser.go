// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

// Package browser opens pages of a test's server in a headless Chromium, and says what is wrong
// with them.
//
// Each [Browser] is one process with a profile of its own. It resolves no host name but those of
// loopback, so no page of a test reaches the network. It ends with its test.
package browser

import (
	"context"
	_ "embed"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// patience bounds each step. Only a browser that hangs takes so long.
const patience = 2 * time.Minute

// Phone is the width in pixels below which a [View] is a phone's.
const Phone = 600

// Browser is a running Chromium.
type Browser struct{ ctx context.Context }

// Start runs a Chromium until the test ends. scripts/need installs one.
func Start(t testing.TB) *Browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.UserDataDir(t.TempDir()),
		chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"),
		chromedp.Flag("no-proxy-server", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("hide-scrollbars", true),
		chromedp.Flag("process-per-site", true), // a process for all tabs is faster
		chromedp.Flag("disable-lcd-text", true)) // pictures are the same on each machine, and small
	if os.Geteuid() == 0 {
		options = append(options, chromedp.NoSandbox) // Chromium has none as root
	}
	ctx, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	ctx, stop := chromedp.NewContext(ctx, chromedp.WithErrorf(t.Logf))
	t.Cleanup(func() {
		stop()
		cancel() // waits for the process
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting Chromium: %v", err)
	}
	return &Browser{ctx}
}

// A View is how a reader sees a page. Its zero value is a light window of 1280 pixels with scripts.
type View struct {
	Language string // the header Accept-Language; "": English
	Width    int    // in pixels; below [Phone], a phone's
	Height   int    // in pixels; 0: 900
	Dark     bool   // prefers a dark page
	Print    bool   // as on paper
	NoScript bool   // runs no script of the page
	Latency  time.Duration
	Rate     int // bytes a second from the server; 0: no limit
}

// Page is a page that is open in a tab of its own. Its methods must not be called concurrently.
type Page struct {
	t    testing.TB
	ctx  context.Context
	view View
	host string

	mu     sync.Mutex
	faults []string
}

// Open opens a page, and waits until it has loaded. The tab closes when the test ends.
func (b *Browser) Open(t testing.TB, address string, v View) *Page {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	if v.Width == 0 {
		v.Width = 1280
	}
	if v.Height == 0 {
		v.Height = 900
	}
	if v.Language == "" {
		v.Language = "en"
	}
	p := &Page{t: t, view: v, host: u.Host}
	ctx, cancel := chromedp.NewContext(b.ctx, chromedp.WithListener(p.event))
	t.Cleanup(cancel)
	p.ctx = ctx
	if err := chromedp.Do(ctx); err != nil { // without a limit: that would be the tab's
		t.Fatalf("opening a tab: %v", err)
	}
	run(p, "the view", func(ctx context.Context, t *chromedp.Target) (chromedp.Void, error) {
		return chromedp.Void{}, v.apply(ctx, t)
	})
	run(p, address, chromedp.Navigate(address))
	return p
}

// run ends the test if the action fails.
func run[T any](p *Page, what string, a chromedp.Action[T]) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		p.t.Fatalf("%s: %v", what, err)
	}
	return v
}

// apply makes a tab show its page so.
func (v *View) apply(ctx context.Context, t *chromedp.Target) error {
	if _, err := cdp.Call(ctx, t, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: int64(v.Width), Height: int64(v.Height), DeviceScaleFactor: 1, Mobile: v.Width < Phone}); err != nil {
		return err
	}
	// What moves is at rest, so that a style can be read as soon as it is set.
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{
		{Name: "prefers-reduced-motion", Value: "reduce"}, {Name: "prefers-color-scheme", Value: "light"}}}
	if v.Dark {
		media.Features[1].Value = "dark"
	}
	if v.Print {
		media.Media = "print"
	}
	if _, err := cdp.Call(ctx, t, emulation.SetEmulatedMedia, media); err != nil {
		return err
	}
	if _, err := cdp.Call(ctx, t, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: v.NoScript}); err != nil {
		return err
	}
	if _, err := cdp.Call(ctx, t, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{
		Headers: network.Headers{"Accept-Language": v.Language}}); err != nil {
		return err
	}
	if v.Rate == 0 && v.Latency == 0 {
		return nil
	}
	rate := float64(v.Rate)
	if rate == 0 {
		rate = -1
	}
	_, err := cdp.Call(ctx, t, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{
		MatchedNetworkConditions: []*network.Conditions{{Latency: float64(v.Latency.Milliseconds()), DownloadThroughput: rate, UploadThroughput: -1}}})
	return err
}

// event notes what a page must not do.
func (p *Page) event(ev any) {
	switch ev := ev.(type) {
	case *log.EventEntryAdded:
		if ev.Entry.Level == log.EntryLevelError { // so are violations of the Content-Security-Policy
			p.fault("%s: %s %s", ev.Entry.Source, ev.Entry.Text, ev.Entry.URL)
		}
	case *runtime.EventConsoleAPICalled:
		if ev.Type == runtime.ConsoleAPICalledTypeError {
			p.fault("console: %s", describe(ev.Args))
		}
	case *runtime.EventExceptionThrown:
		p.fault("exception: %s", ev.ExceptionDetails.Text)
	case *network.EventRequestWillBeSent:
		if u, err := url.Parse(ev.Request.URL); err != nil || u.Host != p.host && u.Scheme != "data" {
			p.fault("a request to another host: %s", ev.Request.URL)
		}
	case *page.EventJavascriptDialogOpening:
		p.fault("a dialog: %s", ev.Message)
	}
}

func describe(args []*runtime.RemoteObject) string {
	var list []string
	for _, a := range args {
		list = append(list, string(a.Value)+a.Description)
	}
	return strings.Join(list, " ")
}

func (p *Page) fault(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.faults = append(p.faults, fmt.Sprintf(format, args...))
}

// Faults returns what the page did wrong so far: errors of the console, violations of its
// Content-Security-Policy, requests to another host, dialogs; and that it is wider than its window.
func (p *Page) Faults() []string {
	p.t.Helper()
	// An answer of the tab comes after each event before it.
	if wide := Eval[int](p, "document.documentElement.scrollWidth"); wide > p.view.Width && !p.view.Print {
		p.fault("wider than its window: %d of %d pixels", wide, p.view.Width)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.faults)
}

// Eval returns the value of a JavaScript expression, or of its promise, in the page.
func Eval[T any](p *Page, expression string) T {
	p.t.Helper()
	what, _, _ := strings.Cut(expression, "\n")
	return run(p, what[:min(len(what), 80)], chromedp.Evaluate[T](expression, chromedp.EvalAwaitPromise))
}

// FirstPaint returns the time from the request to the first text or picture.
func (p *Page) FirstPaint() time.Duration {
	p.t.Helper()
	ms := Eval[float64](p, `new Promise(done => new PerformanceObserver(l => { const first = l.getEntriesByName("first-contentful-paint")[0];
		if (first) done(first.startTime) }).observe({type: "paint", buffered: true}))`)
	return time.Duration(ms * float64(time.Millisecond))
}

// Picture returns the window as PNG; if whole, the page below it, too.
func (p *Page) Picture(whole bool) []byte {
	p.t.Helper()
	if whole {
		return run(p, "a picture", chromedp.FullScreenshot(100))
	}
	return run(p, "a picture", chromedp.CaptureScreenshot())
}

// axe is axe-core, which its authors keep in step with WCAG.
//
//go:embed testdata/axe/axe.min.js
var axe string

// Barriers returns what keeps people with a disability from using the page: what axe-core finds to
// be serious or critical. The page's scripts must run.
func (p *Page) Barriers() []string {
	p.t.Helper()
	Eval[bool](p, axe+"\n; true")
	return Eval[[]string](p, `axe.run({resultTypes: ["violations"], preload: false}).then(r => r.violations
		.filter(v => v.impact == "serious" || v.impact == "critical")
		.flatMap(v => v.nodes.map(n => v.id + ": " + n.target.join(" ") + ": " + (n.any.concat(n.all, n.none)[0]?.message ?? v.help))))`)
}

// remember keeps how each element looks that the Tab key must reach. describe returns the focused
// one as its place in that list, and whether it shows: in the window, and unlike it was.
const remember = `
	window.vasistasLook = e => { const s = getComputedStyle(e);
		return [s.outlineStyle, s.outlineWidth, s.outlineColor, s.boxShadow, s.backgroundColor, s.borderColor, s.textDecorationLine].join() };
	window.vasistasFocus = [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex]")]
		.filter(e => !e.disabled && e.tabIndex >= 0 && e.type != "hidden" && e.checkVisibility());
	window.vasistasLooks = vasistasFocus.map(vasistasLook);
	vasistasFocus.map(e => e.tagName.toLowerCase() + " " + (e.innerText || e.name || e.getAttribute("aria-label") || e.href || "").trim().slice(0, 60))`

const describeFocus = `(() => {
	const e = document.activeElement, i = vasistasFocus.indexOf(e), r = e.getBoundingClientRect();
	const inside = r.width > 0 && r.height > 0 && r.bottom > 0 && r.right > 0 && r.top < innerHeight && r.left < innerWidth;
	return [i, i >= 0 && inside && vasistasLook(e) != vasistasLooks[i] ? 1 : 0] })()`

// Keyboard goes through the page with the Tab key. It returns the elements that were reached, in
// their order, and what is wrong: one that the key doesn't reach, or whose focus doesn't show.
func (p *Page) Keyboard() (order, faults []string) {
	p.t.Helper()
	names := Eval[[]string](p, remember)
	reached := make([]bool, len(names))
	for range len(names) + 1 { // once more, for the browser's own place between last and first
		run(p, "the Tab key", chromedp.KeyEvent(kb.Tab))
		at := Eval[[2]int](p, describeFocus)
		if at[0] < 0 || reached[at[0]] {
			continue
		}
		reached[at[0]] = true
		order = append(order, names[at[0]])
		if at[1] == 0 {
			faults = append(faults, fmt.Sprintf("%s has the focus, which does not show", names[at[0]]))
		}
	}
	for i, ok := range reached {
		if !ok {
			faults = append(faults, names[i]+" is not reached with the keyboard")
		}
	}
	return order, faults
}

// Check fails the test for each fault and barrier of the page.
func (p *Page) Check() {
	p.t.Helper()
	for _, f := range p.Faults() {
		p.t.Error(f)
	}
	if !p.view.NoScript {
		for _, f := range p.Barriers() {
			p.t.Error(f)
		}
	}
}
