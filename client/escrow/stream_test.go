// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"bytes"
	"io"
	"runtime"
	"testing"

	"filippo.io/age"

	"github.com/vasistas/vasistas/log/event"
)

// zeros is a file of any size; it fails who reads more than may be.
type zeros struct {
	t    *testing.T
	left int64
}

func (z *zeros) Read(b []byte) (int, error) {
	if z.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(b)), z.left)
	clear(b[:n])
	z.left -= n
	return int(n), nil
}

// opener is an identity that asks the gates of its custodians.
type opener struct {
	c *custodians
	t *testing.T
}

func (o *opener) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	p, err := ParsePackage(stanzas)
	if err != nil {
		return nil, err
	}
	return o.c.opens(p, o.c.group(o.t), event.KEMMLKEMX25519)
}

// TestStream escrows and opens a file that is larger than the memory it may take.
func TestStream(t *testing.T) {
	const size, limit = 96 << 20, 24 << 20
	c := newCustodians(t, 2, 3)
	r, err := NewRecipient(c.group(t), event.KEMMLKEMX25519, newKey(t, event.KEMMLKEMX25519).Public(), "ada@example.org")
	if err != nil {
		t.Fatal(err)
	}
	var before, during runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	in, out := io.Pipe()
	go func() {
		w, err := age.Encrypt(out, r)
		if err == nil {
			_, err = io.Copy(w, &zeros{t, size})
		}
		if err == nil {
			err = w.Close()
		}
		out.CloseWithError(err)
	}()
	plain, err := age.Decrypt(in, &opener{c, t})
	if err != nil {
		t.Fatal(err)
	}
	var read int64
	peak := uint64(0)
	for b := make([]byte, 1<<20); ; {
		n, err := io.ReadFull(plain, b)
		read += int64(n)
		if runtime.ReadMemStats(&during); during.HeapInuse > peak {
			peak = during.HeapInuse
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if read != size {
		t.Errorf("%d bytes of %d", read, size)
	}
	if grown := int64(peak) - int64(before.HeapInuse); grown > limit {
		t.Errorf("the heap grew by %d bytes", grown)
	}
}

// TestReadPackages reads headers, and not what follows; a header without end is an error.
func TestReadPackages(t *testing.T) {
	c := newCustodians(t, 2, 3)
	r, err := NewRecipient(c.group(t), event.KEMX25519, newKey(t, event.KEMX25519).Public(), "ada@example.org")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, err := age.Encrypt(&b, r)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	rest := &zeros{t, 1 << 40}
	list, err := ReadPackages(io.MultiReader(bytes.NewReader(b.Bytes()), rest))
	if err != nil || len(list) != 1 {
		t.Fatalf("%d packages, %v", len(list), err)
	}
	if n := int64(1<<40) - rest.left; n > 64<<10 {
		t.Errorf("%d bytes of content were read", n)
	}
	for name, bad := range map[string]io.Reader{
		"empty": bytes.NewReader(nil), "zeros": &zeros{t, 1 << 40}, "cut off": bytes.NewReader(b.Bytes()[:200]),
		"endless": io.MultiReader(bytes.NewReader([]byte("age-encryption.org/v1\n-> a ")), &letters{}),
	} {
		if _, err := ReadPackages(bad); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	own, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	b.Reset()
	if w, err = age.Encrypt(&b, own.Recipient()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if list, err := ReadPackages(&b); err != nil || len(list) != 0 {
		t.Errorf("a file that is not escrowed: %d packages, %v", len(list), err)
	}
}

type letters struct{}

func (letters) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = 'a'
	}
	return len(b), nil
}
