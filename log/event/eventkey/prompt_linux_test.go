// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package eventkey

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMain lets the test program load a key on a terminal of its own.
func TestMain(m *testing.M) {
	if name := os.Getenv("VASISTAS_EVENTKEY_TEST"); name != "" {
		s, err := Load(context.Background(), name)
		if err != nil {
			fmt.Println("failed:", err)
			os.Exit(1)
		}
		fmt.Println(s.KeyID())
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestPrompt: a passphrase is asked for on the terminal, which does not echo it. Without a
// terminal the error says what to do.
func TestPrompt(t *testing.T) {
	name := filepath.Join(t.TempDir(), "key.pem")
	if err := os.WriteFile(name, []byte(encrypted[0].private), 0o600); err != nil {
		t.Fatal(err)
	}
	public, err := os.Create(name + PublicSuffix)
	if err != nil {
		t.Fatal(err)
	}
	public.WriteString(encrypted[0].public)
	public.Close()
	want, err := LoadPublic(public.Name())
	if err != nil {
		t.Fatal(err)
	}

	ptmx, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer ptmx.Close()
	if err := unix.IoctlSetPointerInt(int(ptmx.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(ptmx.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()

	var out bytes.Buffer
	run := func(attr *syscall.SysProcAttr, stdin *os.File) *exec.Cmd {
		out.Reset()
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "VASISTAS_EVENTKEY_TEST="+name, PassphraseEnv+"=")
		cmd.Stdin, cmd.Stdout, cmd.SysProcAttr = stdin, &out, attr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	cmd := run(&syscall.SysProcAttr{Setsid: true, Setctty: true}, tty)
	terminal := bufio.NewReader(ptmx)
	prompt, err := terminal.ReadString(':')
	if err != nil || !strings.Contains(prompt, "Passphrase of "+name) {
		t.Fatalf("%q, %v", prompt, err)
	}
	for tick := time.NewTicker(5 * time.Millisecond); ; <-tick.C { // until the terminal echoes no more
		if mode, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS); err != nil {
			t.Fatal(err)
		} else if mode.Lflag&unix.ECHO == 0 {
			tick.Stop()
			break
		}
	}
	fmt.Fprint(ptmx, "correct horse\n")
	if err := cmd.Wait(); err != nil || strings.TrimSpace(out.String()) != want.KeyID() {
		t.Errorf("%v, %q", err, &out)
	}
	fmt.Fprint(tty, "END")
	if rest, err := terminal.ReadString('D'); err != nil || strings.Contains(rest, "horse") {
		t.Errorf("the terminal shows %q, %v", rest, err)
	}

	if err := run(&syscall.SysProcAttr{Setsid: true}, nil).Wait(); err == nil || !strings.Contains(out.String(), PassphraseEnv) {
		t.Errorf("without a terminal: %v, %q", err, &out)
	}
}
