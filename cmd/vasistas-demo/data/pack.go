// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

//go:build ignore

// Pack makes warrants-2016-2019.csv.gz from the joined CSV that PROVENANCE.md
// describes:
//
//	go run ./cmd/vasistas-demo/data/pack.go < joined.csv > cmd/vasistas-demo/data/warrants-2016-2019.csv.gz
//
// It withholds the cells that it names below, and changes nothing else. The
// test of the parent package holds the SHA-256 of what comes out.
package main

import (
	"bytes"
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"strings"
)

// withheld are the cells that name somebody's property beside a company: the
// column, counted from 0, by row_id.
var withheld = map[string]int{"2018:754": 12}

func main() {
	if err := pack(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "pack:", err)
		os.Exit(1)
	}
}

func pack(r io.Reader, w io.Writer) error {
	in, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	z, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	done := 0
	for line := range bytes.Lines(in) {
		id, _, _ := strings.Cut(string(line), ",")
		if column, ok := withheld[id]; ok {
			fields, err := csv.NewReader(bytes.NewReader(line)).Read()
			if err != nil {
				return err
			}
			cell := []byte(`"` + fields[column] + `"`)
			if bytes.Count(line, cell) != 1 {
				return fmt.Errorf("row %s: the cell to withhold is not there once", id)
			}
			line = bytes.Replace(line, cell, []byte("[WITHHELD]"), 1)
			done++
		}
		if _, err := z.Write(line); err != nil {
			return err
		}
	}
	if done != len(withheld) {
		return fmt.Errorf("withheld %d cells of %d", done, len(withheld))
	}
	return z.Close()
}
