// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package browser

import (
	_ "embed"
	"fmt"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

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
