// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package monitor_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/vasistas/vasistas/client/monitor/auditor"
)

// TestServesAuditedCopy: the copy that a monitor serves has the auditor's cosignature, can be
// followed, does not go back, and is still served while the log is down, also by a monitor that
// starts then.
func TestServesAuditedCopy(t *testing.T) {
	w := newTestbed(t)
	w.start(nil)
	w.grow(300)
	cp := w.awaitServed(300)
	done := make(chan error, 1)
	go func() { // the served head only grows, with the line and without
		last := uint64(0)
		for t.Context().Err() == nil {
			now, _, err := w.served()
			switch {
			case err != nil:
				done <- err
				return
			case now.Size < last:
				done <- fmt.Errorf("served %d after %d", now.Size, last)
				return
			case now.Size > cp.Size+5:
				done <- nil
				return
			}
			last = now.Size
		}
	}()
	for range 10 {
		w.grow(1)
	}
	check(t, <-done)
	cp = w.awaitServed(cp.Size + 9)
	if n := w.follow(); n < cp.Size {
		t.Errorf("%d entries of %d are followed", n, cp.Size)
	}
	if s := w.status(); s.Copied < s.Size || s.CopyFails != "" {
		t.Errorf("the status is %+v", s)
	}
	if text := string(w.running.MetricsText()); !strings.Contains(text, `vasistas_monitor_copy_fails{log="log.example/warrants"} 0`) {
		t.Errorf("the metrics are %s", text)
	}
	if status, _ := get(t, w.auditor.URL+"/"+strings.Repeat("0", 64)+"/checkpoint"); status != http.StatusNotFound {
		t.Errorf("a copy of no log: %d", status)
	}

	check(t, w.StopLog(t.Context()))
	w.stop()
	w.start(nil)
	if n := w.follow(); n < cp.Size {
		t.Errorf("without the log, %d entries of %d are followed", n, cp.Size)
	}
	eventually(t, func() error {
		if s := w.status(); s.CopyFails == "" {
			return errors.New("the status does not say that the log is down")
		}
		return nil
	})
	// It still serves its copy, so no probe may end it; what is wrong stands in the body.
	if status, text := get(t, w.auditor.URL+"/readyz"); status != http.StatusOK || !strings.HasPrefix(text, origin+": the auditor does not cosign: not-ready: ") || !strings.Contains(text, "; it cosigns again once the log answers") || strings.Count(text, "\n") != 1 {
		t.Errorf("without the log /readyz is %d %s", status, text)
	}
	if text := string(w.running.MetricsText()); !strings.Contains(text, "\n"+`vasistas_auditor_ready{log="log.example/warrants"} 0`) {
		t.Errorf("the metrics are %s", text)
	}
	check(t, w.StartLog(t.Context()))
	check(t, w.AwaitLog(t.Context()))
	w.grow(1)
	w.awaitServed(cp.Size)
}

// TestNoCopyNoCosignature: the auditor does not cosign a head whose entries it can read, but not
// copy.
func TestNoCopyNoCosignature(t *testing.T) {
	w := newTestbed(t)
	w.start(nil)
	w.grow(1)
	cp := w.awaitServed(1)
	w.stop()
	// A directory where the copy's next bundle must be.
	dir := filepath.Join(w.auditor.Config.CopyDir, "tile", "entries")
	check(t, os.Rename(dir, dir+".away"))
	check(t, os.WriteFile(dir, nil, 0o600))
	w.start(nil)
	w.grow(1)
	eventually(t, func() error {
		if s := w.status(); s.Size != cp.Size || !strings.Contains(s.Declines, "copy") || s.CopyFails == "" {
			return fmt.Errorf("the status is %+v", s)
		}
		return nil
	})
	w.stop()
	check(t, os.Remove(dir))
	check(t, os.Rename(dir+".away", dir))
	w.start(nil)
	w.awaitServed(cp.Size)
}

// TestOldBackup: a monitor whose state and copy are from a backup signs nothing more once the log
// shows a later cosignature, and still copies and serves the log. It goes on once it is resumed.
func TestOldBackup(t *testing.T) {
	w := newTestbed(t)
	w.start(nil)
	w.grow(1)
	old := w.awaitServed(1)
	w.stop()
	c, backup := &w.auditor.Config, t.TempDir()
	check(t, os.CopyFS(filepath.Join(backup, "state"), os.DirFS(c.Dir)))
	check(t, os.CopyFS(filepath.Join(backup, "copy"), os.DirFS(c.CopyDir)))
	w.start(nil)
	w.grow(300)
	w.awaitServed(old.Size + 299)
	w.stop()
	for from, to := range map[string]string{"state": c.Dir, "copy": c.CopyDir} {
		check(t, os.RemoveAll(to))
		check(t, os.CopyFS(to, os.DirFS(filepath.Join(backup, from))))
	}
	w.start(nil)
	w.grow(1)
	eventually(t, func() error {
		now, at, err := w.served()
		if s := w.status(); err == nil && (s.Stopped == "" || now.Size <= old.Size+300 || at != 0) {
			err = fmt.Errorf("size %d, cosigned at %d; %+v", now.Size, at, s)
		}
		return err
	})
	w.stop()
	_, err := auditor.ResumeLost(t.Context(), *c, c.Signers[0].Verifier().Name)
	check(t, err)
	w.start(nil)
	w.grow(1)
	w.awaitServed(old.Size + 301)
}
