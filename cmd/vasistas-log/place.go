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

// place is DIR/engine.json, the place of the log's tree if that is not DIR/tree. init and
// recover write it last, so that a log that has moved is not opened in its old place.
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

// readPlace reads a place. It returns nil if there is no such file.
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
		err = errors.New("unexpected data at its end")
	}
	if err != nil {
		return nil, fmt.Errorf("%s, which names the place of the tree, is damaged: %w; restore it, or write it again", name, err)
	}
	return &p, nil
}

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

// takePlace sets the options that were not given from DIR/engine.json. Engine and tree must
// not differ from that file; the address and the tiles may.
func (o *engineOptions) takePlace(dir string) error {
	p, err := readPlace(filepath.Join(dir, placeFile))
	if err != nil || p == nil {
		return err
	}
	if o.engine != "" && o.engine != p.Engine || o.tree != "" && !sameTree(p.Engine, o.tree, p.Tree) {
		return command.WrongUse("by %s the tree of this log is %s %s, and not %s; move a log only with \"vasistas-log recover -to-engine\"",
			filepath.Join(dir, placeFile), p.Engine, p.Tree, strings.TrimSpace(o.engine+" "+o.tree))
	}
	o.take(p)
	return nil
}

// sameTree returns whether two names of an engine's trees are of the same tree.
func sameTree(engine, a, b string) bool {
	if engine != enginePOSIX {
		return a == b
	}
	absA, errA := filepath.Abs(a)
	absB, errB := filepath.Abs(b)
	return errA == nil && errB == nil && absA == absB
}

func (o *engineOptions) take(p *place) {
	for _, v := range []struct{ flag, value *string }{{&o.engine, &p.Engine}, {&o.tree, &p.Tree}, {&o.trillian, &p.Trillian}, {&o.tiles, &p.Tiles}} {
		if *v.flag == "" {
			*v.flag = *v.value
		}
	}
}
