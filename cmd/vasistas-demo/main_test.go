// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vasistas/vasistas/cmd/vasistas/cli"
	"github.com/vasistas/vasistas/internal/durable"
	"github.com/vasistas/vasistas/log/tlog"
)

// output is a buffer that says when a text has been written to it.
type output struct {
	mu   sync.Mutex
	b    bytes.Buffer
	want string
	seen chan struct{}
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.b.Write(p)
	if o.want != "" && strings.Contains(o.b.String(), o.want) {
		o.want = ""
		close(o.seen)
	}
	return len(p), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// TestDemo runs the demo until it is up, checks from the log that no key was opened while something
// barred, runs all that the demo says to type, stops it, and runs it again in the same directory with
// more rows.
func TestDemo(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "demo")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stdout, stderr := &output{want: "until Ctrl-C", seen: make(chan struct{})}, &output{}
	o, err := parseOptions([]string{"-rows", "60", "-dir", dir, "-listen", "127.0.0.1:0", "-v"}, stderr)
	check(t, err)
	s, ended := newStory(o, stdout, stderr), make(chan error, 1)
	var short bytes.Buffer
	s.short = io.MultiWriter(&short, stdout)
	go func() { ended <- s.run(ctx) }()
	select {
	case <-stdout.seen:
	case err := <-ended:
		t.Fatalf("%v\n%s%s", err, stdout, stderr)
	}
	t.Run("no disclosure, no keys", func(t *testing.T) { checkNoDisclosureNoKeys(t, s) })
	tryCommands(t, dir, stdout.String(), 9)
	checkDesk(t, dir, stdout.String())
	for _, want := range []string{"rule warrant-live (accesses)", "rule opening (early)", "is OVERDUE:", "VIOLATIONS: ",
		"is cured", "discloses nothing", "by the log itself", "CLEAN: ", "Was late, and is cured: ", "disclosure (late): ",
		"No disclosure, no more keys", "it is a BREACH: ", "Access works, and the breach stays on record"} {
		if !strings.Contains(strings.Join(strings.Fields(stdout.String()), " "), want) {
			t.Errorf("the story does not say %q:\n%s", want, stdout)
		}
	}
	if told, _, _ := strings.Cut(short.String(), "\n\n"); strings.Count(told, "\n")+1 != 15 {
		t.Errorf("without -v the story has not 15 lines:\n%s", told)
	}
	t.Logf("without -v:\n%s", &short)
	before := loadEvents(dir)
	stop()
	if err := <-ended; err != nil {
		t.Fatalf("stopped: %v\n%s", err, stderr)
	}

	var again, warnings bytes.Buffer
	if c := run(t.Context(), []string{"-rows", "80", "-dir", dir, "-listen", "127.0.0.1:0", "-serve=false"}, nil, &again, &warnings); c != 0 {
		t.Fatalf("again: exit code %d\n%s%s", c, &again, &warnings)
	}
	if want := fmt.Sprintf("%d of them by an earlier run", len(before)); !strings.Contains(again.String(), want) || strings.Contains(again.String(), "Read back") {
		t.Errorf("again: it does not say %q:\n%s", want, &again)
	}
	tryCommands(t, dir, again.String(), 5)
	verifyAll(t, dir)
	checkDir(t, dir)
}

// checkDesk reads at the desk what the story has told.
func checkDesk(t *testing.T, dir, told string) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, "monitor.url"))
	check(t, err)
	url := strings.TrimSuffix(string(b), "\n")
	if !strings.Contains(told, url) {
		t.Errorf("the story does not name the desk at %s", url)
	}
	late := regexp.MustCompile(`Since the first entry: [1-9][0-9]*\. Never cured, and so a breach: [1-9]`)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	page := ""
	for end := time.Now().Add(patience); time.Now().Before(end) && !late.MatchString(page); <-tick.C {
		page = fetch(t, url+"?lang=en")
	}
	if !late.MatchString(page) || strings.Contains(page, "Not pinned.") {
		t.Errorf("the desk does not show what was late, and the breach:\n%s", page)
	}
	log := regexp.MustCompile("desk/[0-9a-f]{64}/").FindString(page)
	for _, kind := range []string{"refusal", "finding"} {
		if list := fetch(t, url+log+"entries?type="+kind); !strings.Contains(list, log+"entry/") {
			t.Errorf("the desk lists no %s:\n%s", kind, list)
		}
	}
}

// TestToolCommand runs the tool from another directory, as the demo's last lines say.
func TestToolCommand(t *testing.T) {
	t.Parallel()
	c := exec.CommandContext(t.Context(), "sh", "-c", toolCommand()+"--help")
	c.Dir = t.TempDir()
	if b, err := c.CombinedOutput(); err != nil {
		t.Errorf("%s: %v\n%s", c.Args, err, b)
	}
}

// tryCommands runs the commands in a text, of which there are n.
func tryCommands(t *testing.T, dir, text string, n int) {
	t.Helper()
	for line := range strings.Lines(text) {
		command, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "    ")
		var out string
		if args, is := strings.CutPrefix(command, toolCommand()); ok && is {
			want := 0
			if strings.Contains(args, filepath.Join(dir, "attacks")) || strings.HasPrefix(args, "audit ") { // which finds the hidden release
				want = 1
			}
			out = tool(t, want, strings.Fields(args)...)
			if strings.Contains(out, "NOT checked") {
				t.Errorf("%s: a signature was not checked:\n%s", command, out)
			}
		} else if url, is := strings.CutPrefix(command, "curl "); ok && is {
			out = fetch(t, url)
			if _, err := tlog.ParseCheckpoint([]byte(out)); err != nil {
				t.Errorf("%s: %v", command, err)
			}
		} else {
			continue
		}
		n--
	}
	if n != 0 {
		t.Errorf("%d commands too few in the text:\n%s", n, text)
	}
}

// tool runs the command vasistas.
func tool(t *testing.T, want int, args ...string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := cli.Run(t.Context(), args, strings.NewReader(""), &stdout, &stderr); code != want {
		t.Errorf("vasistas %q: exit code %d, want %d\n%s%s", args, code, want, &stdout, &stderr)
	}
	return stdout.String()
}

func fetch(t *testing.T, url string) string {
	t.Helper()
	resp, err := http.Get(url)
	check(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	check(t, err)
	if resp.StatusCode != http.StatusOK {
		t.Errorf("GET %s: %s", url, resp.Status)
	}
	return string(b)
}

// verifyAll verifies all proofs in dir by the tool, with the courts' keys.
func verifyAll(t *testing.T, dir string) {
	t.Helper()
	args := []string{"verify", "--policy", filepath.Join(dir, "policy.txt")}
	for _, keys := range []string{"courts", "duty", "providers"} {
		files, err := filepath.Glob(filepath.Join(dir, "keys", keys, "*.pub"))
		check(t, err)
		for _, f := range files {
			args = append(args, "--key", f)
		}
	}
	proofs, err := filepath.Glob(filepath.Join(dir, "proofs", "*.tlog-proof"))
	check(t, err)
	events := loadEvents(dir)
	if len(proofs) != len(events) || len(proofs) == 0 {
		t.Fatalf("%d proofs of %d events", len(proofs), len(events))
	}
	out := tool(t, 0, append(args, proofs...)...)
	if n := strings.Count(out, "PROVEN: "); n != len(proofs) {
		t.Errorf("%d of %d proven", n, len(proofs))
	}
	if strings.Contains(out, "NOT checked") {
		t.Error("a signature was not checked")
	}
}

// checkDir looks for what others must not read, and what they need.
func checkDir(t *testing.T, dir string) {
	t.Helper()
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		secret := strings.HasSuffix(path, ".key") || strings.HasSuffix(path, ".pem") || strings.HasSuffix(path, ".seed") ||
			strings.HasSuffix(path, ".gate") || strings.Contains(d.Name(), "openings") || d.Name() == "signed.ndjson"
		if secret && info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return nil
	}))
	for _, name := range []string{"log.url", "log.vkey", "witness1.vkey", "witness3-mldsa44.vkey", "PROVENANCE.md", "policy-all.txt"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
	// What Tessera says of its work goes there, and not between the lines of the story.
	if b, err := os.ReadFile(filepath.Join(dir, "servers.log")); err != nil || !bytes.Contains(b, []byte("part=tessera")) {
		t.Errorf("servers.log: %v\n%s", err, b)
	}
}

// TestTaken starts demos at a port and in a directory that are in use.
func TestTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	defer taken.Close()
	rows := allRows(t)[:3]
	dir := filepath.Join(t.TempDir(), "demo")
	address := taken.Addr().String()
	if _, err := openSystem(t.Context(), &options{dir: dir, listen: address}, rows); !errors.Is(err, syscall.EADDRINUSE) {
		t.Fatalf("at a port that is taken: %v", err)
	}
	s, err := openSystem(t.Context(), &options{dir: dir, listen: address, fallback: true}, rows)
	check(t, err)
	defer func() { check(t, s.close(t.Context())) }()
	if url := s.LogServer.URL; url == "http://"+address || fetch(t, url+"/healthz") != "ok\n" || !s.made {
		t.Errorf("instead of %s the log is at %s, new: %v", address, url, s.made)
	}
	if _, err := openSystem(t.Context(), &options{dir: dir, listen: "127.0.0.1:0"}, rows); !errors.Is(err, durable.ErrLocked) {
		t.Errorf("in a directory that is in use: %v", err)
	}
}

func TestRunRefuses(t *testing.T) {
	foreign := t.TempDir()
	check(t, os.WriteFile(filepath.Join(foreign, "letter.txt"), nil, 0o600))
	cut := t.TempDir()
	check(t, os.Mkdir(filepath.Join(cut, "keys"), 0o700))
	check(t, os.WriteFile(filepath.Join(cut, "keys", seedFile), nil, 0o600))
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"help":         {[]string{"-h"}, 0, ""},
		"version":      {[]string{"--version"}, 0, ""},
		"flag":         {[]string{"-nonsense"}, 2, "nonsense"},
		"argument":     {[]string{"all"}, 2, "not a flag"},
		"rows":         {[]string{"-rows", "-1"}, 2, "-rows is negative"},
		"no directory": {[]string{"-dir", ""}, 2, "-dir is empty"},
		"foreign":      {[]string{"-dir", foreign, "-serve=false"}, 1, foreign + " holds something else than a demo, and was left as it is"},
		"file":         {[]string{"-dir", filepath.Join(foreign, "letter.txt"), "-serve=false"}, 1, "letter.txt is a file"},
		"cut off":      {[]string{"-dir", cut, "-serve=false"}, 1, "was cut off"},
	} {
		t.Run(name, func(t *testing.T) {
			var stdout, stderr bytes.Buffer
			if code := run(t.Context(), c.args, nil, &stdout, &stderr); code != c.code || !strings.Contains(stderr.String(), c.says) {
				t.Errorf("exit code %d, want %d: %s", code, c.code, &stderr)
			}
			if name == "version" && !strings.HasPrefix(stdout.String(), "vasistas-demo ") {
				t.Errorf("version: %s", &stdout)
			}
			if name == "help" && !strings.Contains(stdout.String(), "-rows N") {
				t.Errorf("help: %s", &stdout)
			}
		})
	}
	if entries, err := os.ReadDir(foreign); err != nil || len(entries) != 1 {
		t.Errorf("the foreign directory was touched: %v, %v", entries, err)
	}
}
