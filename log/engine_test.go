// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/internal/trilliantest"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/tesserax"
	"github.com/vasistas/vasistas/log/trillianx"
)

// trillianVar is the environment variable with the address of a Trillian log server. If
// it is set, the worlds' trees are there, else in POSIX files.
const trillianVar = "VASISTAS_TEST_TRILLIAN"

// createTree makes the tree of the world's log.
func (w *world) createTree() {
	w.t.Helper()
	addr := os.Getenv(trillianVar)
	if addr == "" {
		check(w.t, tesserax.Create(w.t.Context(), w.tree()))
		return
	}
	number, err := trillianx.NewTree(w.t.Context(), trillianx.Config{Addr: addr})
	check(w.t, err)
	// As "vasistas-log init" writes it, for the processes of this test.
	b, err := json.Marshal(map[string]string{"engine": "trillian", "trillian": addr, "tree": fmt.Sprint(number), "tiles": w.tree()})
	check(w.t, err)
	check(w.t, os.WriteFile(filepath.Join(w.dir, "engine.json"), b, 0o644))
}

// openTree opens the tree of the world's log.
func (w *world) openTree() (log.Engine, error) {
	w.t.Helper()
	if os.Getenv(trillianVar) == "" {
		return tesserax.Open(w.t.Context(), w.tree())
	}
	var place struct {
		Trillian string
		Tree     int64 `json:",string"`
	}
	b, err := os.ReadFile(filepath.Join(w.dir, "engine.json"))
	check(w.t, err)
	check(w.t, json.Unmarshal(b, &place))
	dir, err := trillianx.OpenDir(w.tree())
	check(w.t, err)
	e, err := trillianx.Open(w.t.Context(), trillianx.Config{Addr: place.Trillian, Tree: place.Tree, Tiles: dir, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// trillianUp returns nil if the tree in Trillian has the size.
func (w *world) trillianUp(size uint64) error {
	e, err := w.openTree()
	if err != nil {
		return err
	}
	defer e.Close(w.t.Context())
	have, _, err := e.Tree(w.t.Context())
	if err == nil && have < size {
		err = fmt.Errorf("sequenced: %d of %d", have, size)
	}
	return err
}

// onTrillian are the tests that do not look into the files of an engine.
var onTrillian = []string{
	"TestAmendWitnesses", "TestAmendKeys", "TestAmendRoles", "TestSnapshots", "TestFailedBatch",
	"TestEngineFaults", "TestEngineHalves",
	"TestBadRequests", "TestCutOff", "TestReads", "TestQueueFull", "TestAbandoned", "TestNoQuorum", "TestPatience", "TestNotReady",
	"TestTesseraReads", "TestSumDBReads", "TestFormatsReads", "TestStatic",
	"TestAnchors", "TestDisclosure", "TestNotices", "TestLostVault", "TestOrphans", "TestAnchorsGoOnAfterDowntime",
	"TestLife", "TestConcurrency", "TestClock",
	"TestKill", "TestTerminate", "TestTerminateWithoutQuorum", "TestSecondProcess",
	"TestLimitUnderConcurrency", "TestRefusals", "TestOpenings", "TestVoices", "TestCharterOverHTTP",
	"TestStream", "TestStreamSpeaksBoth", "TestStreamSlowReader", "TestStreamSlowWriter", "TestStreamGone", "TestStreamIdle",
	"TestStreamLimit", "TestStreamNoQuorum", "TestStreamDrain",
	"TestWitnessFaults", "TestWitnessEvidence", "TestWitnessesAtStart", "TestRefresh", "TestManyWitnesses",
}

// TestOnTrillian runs onTrillian with their logs in Trillian, in a process of its own.
func TestOnTrillian(t *testing.T) {
	if os.Getenv(trillianVar) != "" {
		t.Fatal("within itself")
	}
	tr := trilliantest.StartTrillian(t, trilliantest.StartPostgres(t))
	self, err := os.Executable()
	check(t, err)
	cmd := exec.Command(self, "-test.run", "^("+strings.Join(onTrillian, "|")+")$", "-test.timeout", "25m", "-test.v")
	cmd.Env = append(os.Environ(), trillianVar+"="+tr.Addr())
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, name := range onTrillian {
		if !strings.Contains(string(out), "\n--- PASS: "+name+" (") {
			t.Errorf("%s was not run", name)
		}
	}
}
