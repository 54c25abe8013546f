// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"

	"github.com/vasistas/vasistas/internal/command"
	"github.com/vasistas/vasistas/internal/durable"
)

// place is DIR/engine.json: where the tree of this log is, if not in DIR/tree. It is
// written last when a log is made or has moved, so that a log that has moved is not
// opened in its old place.
type place struct {
	Engine   string `json:"engine"`
	Tree     string `json:"tree,omitempty"`
	Trillian string `json:"trillian,omitempty"`
	Tiles    string `json:"tiles,omitempty"`
}

const (
	placeFile = "engine.json"
	maxPlace  = 4 << 10
)

// readPlace returns nil if there is no such file.
func readPlace(name string) (*place, error) {
	b, err := durable.ReadFile(name, maxPlace)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil && !errors.Is(err, durable.ErrTooLarge) {
		return nil, err
	}
	var p place
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err = d.Decode(&p); err == nil && (len(b) > maxPlace || d.Decode(&struct{}{}) != io.EOF) {
		err = errors.New("something follows its end")
	}
	if err != nil {
		return nil, fmt.Errorf("%s, which says where the tree is, is damaged: %w; restore it, or write it again", name, err)
	}
	return &p, nil
}

// writePlace makes directories absolute: the log is started from anywhere.
func writePlace(name string, o *engineOptions) error {
	p := place{o.engine, o.tree, o.trillian, o.tiles}
	var err error
	if p.Engine == enginePOSIX {
		p.Tree, err = filepath.Abs(p.Tree)
	} else if !strings.Contains(p.Tiles, "://") {
		p.Tiles, err = filepath.Abs(p.Tiles)
	}
	if err != nil {
		return err
	}
	b, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return err
	}
	return durable.WriteFile(name, append(b, '\n'), 0o644)
}

// takePlace fills in what is written down and was not given. The address and the
// tiles may be given otherwise; the tree may not.
func (o *engineOptions) takePlace(dir string) error {
	p, err := readPlace(filepath.Join(dir, placeFile))
	if err != nil || p == nil {
		return err
	}
	if o.engine != "" && o.engine != p.Engine || o.tree != "" && !sameTree(p.Engine, o.tree, p.Tree) {
		return command.WrongUse("%s says that the tree of this log is %s %s, and not %s; a log moves with \"vasistas-log recover -to-engine\" only",
			filepath.Join(dir, placeFile), p.Engine, p.Tree, strings.TrimSpace(o.engine+" "+o.tree))
	}
	o.take(p)
	return nil
}

// sameTree says whether two names of trees of one engine mean the same.
func sameTree(engine, a, b string) bool {
	if engine != enginePOSIX {
		return a == b
	}
	absA, errA := filepath.Abs(a)
	absB, errB := filepath.Abs(b)
	return errA == nil && errB == nil && absA == absB
}

// take fills in what was not given.
func (o *engineOptions) take(p *place) {
	for _, v := range []struct{ flag, said *string }{{&o.engine, &p.Engine}, {&o.tree, &p.Tree}, {&o.trillian, &p.Trillian}, {&o.tiles, &p.Tiles}} {
		if *v.flag == "" {
			*v.flag = *v.said
		}
	}
}
