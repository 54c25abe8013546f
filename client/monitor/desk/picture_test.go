// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package desk_test

import (
	"bytes"
	"flag"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/vasistas/vasistas/client/monitor/facts"
	"github.com/vasistas/vasistas/internal/browser"
)

var pictures = flag.Bool("pictures", false, "write the pictures of docs/pictures")

// takePictures writes the pictures of the documents.
func takePictures(t *testing.T, b *browser.Browser, url string, logs map[facts.Verdict]*aLog) {
	ok, late := url+logs[facts.OK].path(""), url+logs[facts.Late].path("")
	wide := browser.View{Width: 1120, Height: 700}
	for name, c := range map[string]struct {
		address string
		view    browser.View
		from    string // the element at the top
	}{
		"first":    {ok, wide, "body"},
		"late":     {late, browser.View{Width: 1120, Height: 860, Dark: true}, "body"},
		"phone":    {late + "?lang=fr", browser.View{Width: 390, Height: 700}, "body"},
		"charts":   {ok + "charts", wide, "section.chart"},
		"entries":  {ok + "entries?type=warrant", wide, "h1"},
		"evidence": {ok + "entry/1?lang=de", wide, "h1"},
	} {
		p := b.Open(t, c.address, c.view)
		browser.Eval[bool](p, fmt.Sprintf("document.querySelector(%q).scrollIntoView(); true", c.from))
		small, err := shrink(p.Picture(false))
		check(t, err)
		check(t, os.WriteFile(filepath.Join("../../../docs/pictures", name+".png"), small, 0o644))
		if t.Logf("%s: %d bytes", name, len(small)); len(small) > 60<<10 {
			t.Errorf("%s has %d bytes", name, len(small))
		}
	}
}

// shrink encodes a picture again with at most 64 colours, which are enough for text.
func shrink(b []byte) ([]byte, error) {
	from, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	often := make(map[color.Color]int)
	for y := range from.Bounds().Dy() {
		for x := range from.Bounds().Dx() {
			often[from.At(x, y)]++
		}
	}
	palette := color.Palette(slices.SortedFunc(maps.Keys(often), func(a, b color.Color) int { return often[b] - often[a] }))
	palette = palette[:min(len(palette), 64)]
	to := image.NewPaletted(from.Bounds(), palette)
	draw.Draw(to, to.Rect, from, image.Point{}, draw.Src)
	var out bytes.Buffer
	err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, to)
	return out.Bytes(), err
}

// BenchmarkFirstPaint measures when the first screen shows at 1.6 Mbit/s and 300 ms.
func BenchmarkFirstPaint(b *testing.B) {
	logs := map[facts.Verdict]*aLog{facts.OK: fourLogs(b)[facts.OK]}
	url := showAll(b, logs)
	chromium := browser.Start(b)
	var sum time.Duration
	for b.Loop() {
		p := chromium.Open(b, url+logs[facts.OK].path(""), browser.View{Latency: 300 * time.Millisecond, Rate: 200_000})
		sum += p.FirstPaint()
	}
	b.ReportMetric(float64(sum.Milliseconds())/float64(b.N), "paint-ms")
}
