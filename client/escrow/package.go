// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package escrow

import (
	"bufio"
	"bytes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"filippo.io/age"
	"filippo.io/age/armor"
	"github.com/cloudflare/circl/secretsharing"
	"golang.org/x/crypto/chacha20poly1305"

	"github.com/vasistas/vasistas/log/event"
)

// stanzaType is the type of a package's stanzas in an age header (C2SP age).
const stanzaType = "vasistas/escrow/v1"

const (
	// MaxPackageSize bounds the canonical text of a package, in bytes.
	MaxPackageSize = maxMembers * 8192
	// MaxHeaderSize bounds the age header that [ReadPackages] reads, in bytes.
	MaxHeaderSize = 4 << 20

	nonceSize   = 16
	fileKeySize = 16
	wrappedSize = fileKeySize + 16
)

// A Package is the escrowed key of an age file for one custodian group: a stanza for each
// custodian. ParsePackages and ParsePackage make it. It is immutable and well-formed, but
// may not open.
type Package struct {
	group     event.Digest
	threshold int
	nonce     [nonceSize]byte
	account   event.Digest
	wrapped   [wrappedSize]byte
	parts     []part // in the order of the shares
	digest    event.Digest
}

// String names the package by its digest.
func (p Package) String() string { return "package " + p.digest.String() }

type part struct {
	key    event.Digest // hash of the gate's key
	share  event.Digest // commitment to the share
	notice []byte       // part one
	sealed []byte       // part two
}

// Group returns the digest of the group, see [Group.Digest].
func (p *Package) Group() event.Digest { return p.group }

// Threshold returns how many shares are needed to open it.
func (p *Package) Threshold() int { return p.threshold }

// Custodians returns how many shares it has.
func (p *Package) Custodians() int { return len(p.parts) }

// Account returns the digest of the account's sealed opening.
func (p *Package) Account() event.Digest { return p.account }

// Digest returns the digest by which an access names the package: SHA-256 of the canonical
// text.
func (p *Package) Digest() event.Digest { return p.digest }

// Key returns the hash of a custodian's key, for a share's index from 1. It is the zero
// digest for an index that the package doesn't have.
func (p *Package) Key(index int) event.Digest {
	if index < 1 || index > len(p.parts) {
		return event.Digest{}
	}
	return p.parts[index-1].key
}

// Stanzas returns the package as stanzas of an age header.
func (p *Package) Stanzas() []*age.Stanza {
	out := make([]*age.Stanza, len(p.parts))
	for i := range p.parts {
		q := &p.parts[i]
		out[i] = &age.Stanza{Type: stanzaType, Args: []string{
			p.group.String(), url64.EncodeToString(p.nonce[:]), p.account.String(),
			strconv.Itoa(i + 1), strconv.Itoa(p.threshold), strconv.Itoa(len(p.parts)),
			q.key.String(), q.share.String(), url64.EncodeToString(p.wrapped[:]),
		}, Body: body(q)}
	}
	return out
}

const stanzaArgs = 9

func body(q *part) []byte {
	return slices.Concat([]byte{byte(len(q.notice) >> 8), byte(len(q.notice))}, q.notice, q.sealed)
}

// Text returns the canonical text: the stanzas as age writes them.
func (p *Package) Text() []byte {
	var b bytes.Buffer
	for _, s := range p.Stanzas() {
		writeStanza(&b, s)
	}
	return b.Bytes()
}

// writeStanza writes a stanza (C2SP age): the body in unpadded standard base64, in lines
// of 64 columns. The last line is shorter, and may be empty.
func writeStanza(b *bytes.Buffer, s *age.Stanza) {
	b.WriteString("-> " + s.Type)
	for _, a := range s.Args {
		b.WriteString(" " + a)
	}
	b.WriteByte('\n')
	text := base64.RawStdEncoding.EncodeToString(s.Body)
	for len(text) >= 64 {
		b.WriteString(text[:64] + "\n")
		text = text[64:]
	}
	b.WriteString(text + "\n")
}

// ParsePackages returns the packages among the stanzas of an age header, which may be
// none. It ignores stanzas of other types. The stanzas of a package have one nonce and
// follow each other in the order of their shares.
func ParsePackages(stanzas []*age.Stanza) ([]*Package, error) {
	var out []*Package
	var run []*age.Stanza
	flush := func() error {
		if len(run) == 0 {
			return nil
		}
		p, err := parseRun(run)
		if err != nil {
			return err
		}
		if slices.ContainsFunc(out, func(o *Package) bool { return o.nonce == p.nonce }) {
			return malformed("two packages have one nonce")
		}
		out, run = append(out, p), nil
		return nil
	}
	for _, s := range stanzas {
		if s.Type != stanzaType {
			continue
		}
		if len(s.Args) != stanzaArgs {
			return nil, malformed("stanza: %d arguments, want %d", len(s.Args), stanzaArgs)
		}
		if len(run) > 0 && (s.Args[1] != run[0].Args[1] || len(run) == maxMembers) {
			if err := flush(); err != nil {
				return nil, err
			}
		}
		run = append(run, s)
	}
	return out, flush()
}

// ParsePackage parses the stanzas of exactly one package.
func ParsePackage(stanzas []*age.Stanza) (*Package, error) {
	list, err := ParsePackages(stanzas)
	if err == nil && len(list) != 1 {
		err = malformed("%d packages, want one", len(list))
	}
	if err != nil {
		return nil, err
	}
	return list[0], nil
}

// ParsePackageText parses exactly what Text returns.
func ParsePackageText(text []byte) (*Package, error) {
	if len(text) > MaxPackageSize {
		return nil, malformed("a package of %d bytes, at most %d", len(text), MaxPackageSize)
	}
	var stanzas []*age.Stanza
	rest, ok := string(text), false
	for rest != "" {
		var first string
		var b64 strings.Builder
		if first, rest, ok = strings.Cut(rest, "\n"); !ok || !strings.HasPrefix(first, "-> "+stanzaType+" ") {
			return nil, malformed("package: want a stanza %s", stanzaType)
		}
		for done := false; !done; {
			var line string
			if line, rest, ok = strings.Cut(rest, "\n"); !ok || len(line) > 64 {
				return nil, malformed("package: a stanza's body has no end")
			}
			b64.WriteString(line)
			done = len(line) < 64
		}
		if strings.Contains(b64.String(), "\r") {
			return nil, malformed("package: base64 with line breaks")
		}
		raw, err := base64.RawStdEncoding.Strict().DecodeString(b64.String())
		if err != nil {
			return nil, malformed("package: %w", err)
		}
		fields := strings.Split(first, " ")
		stanzas = append(stanzas, &age.Stanza{Type: stanzaType, Args: fields[2:], Body: raw})
	}
	p, err := ParsePackage(stanzas)
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(p.Text(), text) {
		return nil, malformed("package: not the canonical encoding")
	}
	return p, nil
}

// Dearmor returns the bytes of an age file, which may be in armor (age -a).
func Dearmor(file io.Reader) io.Reader {
	b := bufio.NewReader(file)
	if start, _ := b.Peek(len(armor.Header)); string(start) == armor.Header {
		return armor.NewReader(b)
	}
	return b
}

// ReadPackages returns the packages in the header of an age file, which may be in armor.
func ReadPackages(file io.Reader) ([]*Package, error) {
	header, err := age.ExtractHeader(io.LimitReader(Dearmor(file), MaxHeaderSize))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	var seen capture
	if _, err := age.DecryptHeader(header, &seen); !errors.As(err, new(*age.NoIdentityMatchError)) {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	return ParsePackages(seen)
}

// capture is an identity that records the stanzas, which age shows in no other way.
type capture []*age.Stanza

func (c *capture) Unwrap(stanzas []*age.Stanza) ([]byte, error) {
	*c = stanzas
	return nil, age.ErrIncorrectIdentity
}

func parseRun(stanzas []*age.Stanza) (*Package, error) {
	p := new(Package)
	n := len(stanzas)
	for i, s := range stanzas {
		q, o, err := parseStanza(s, i+1, n)
		if err != nil {
			return nil, fmt.Errorf("stanza %d of %d: %w", i+1, n, err)
		}
		if i == 0 {
			*p = *o
		} else if o.group != p.group || o.threshold != p.threshold || o.nonce != p.nonce || o.account != p.account || o.wrapped != p.wrapped {
			return nil, malformed("stanza %d of %d is of another package", i+1, n)
		}
		if slices.ContainsFunc(p.parts, func(o part) bool { return o.key == q.key }) {
			return nil, malformed("two stanzas are for one key")
		}
		p.parts = append(p.parts, *q)
	}
	text := p.Text()
	if len(text) > MaxPackageSize {
		return nil, malformed("a package of %d bytes, at most %d", len(text), MaxPackageSize)
	}
	p.digest = sha256.Sum256(text)
	return p, nil
}

// parseStanza parses one stanza: its own part, and the members of its package.
func parseStanza(s *age.Stanza, index, n int) (*part, *Package, error) {
	p, q := new(Package), new(part)
	for _, f := range []struct {
		to  []byte
		arg int
	}{{p.group[:], 0}, {p.nonce[:], 1}, {p.account[:], 2}, {q.key[:], 6}, {q.share[:], 7}, {p.wrapped[:], 8}} {
		var b blob
		if err := b.UnmarshalText([]byte(s.Args[f.arg])); err != nil || len(b) != len(f.to) {
			return nil, nil, malformed("argument %d is not %d bytes in base64url", f.arg+1, len(f.to))
		}
		copy(f.to, b)
	}
	t, err := strconv.Atoi(s.Args[4])
	if err != nil || t < 1 || t > n || strconv.Itoa(t) != s.Args[4] {
		return nil, nil, malformed("threshold %q of %d shares", s.Args[4], n)
	}
	p.threshold = t
	if s.Args[3] != strconv.Itoa(index) || s.Args[5] != strconv.Itoa(n) {
		return nil, nil, malformed("it claims to be share %q of %q", s.Args[3], s.Args[5])
	}
	if len(s.Body) < 2 {
		return nil, nil, malformed("no body")
	}
	one := int(s.Body[0])<<8 | int(s.Body[1])
	two := len(s.Body) - 2 - one
	if one < minNoticePart || one > maxNoticePart || two != sharePartX25519 && two != sharePartHybrid {
		return nil, nil, malformed("parts of %d and %d bytes", one, two)
	}
	q.notice = bytes.Clone(s.Body[2 : 2+one])
	q.sealed = bytes.Clone(s.Body[2+one:])
	return q, p, nil
}

// OpenNotice opens part one of the stanza for this holder's key, and checks that it has
// the package's account. A gate opens part one before it signs a release: part one does
// not help to open the file. Errors wrap ErrNotMine, ErrOpen, ErrKey or ErrMalformed.
func (p *Package) OpenNotice(h KeyHolder, g *Group) (*NoticePart, error) {
	index, err := p.mine(h, g)
	if err != nil {
		return nil, err
	}
	plain, err := h.Open(ForNotice, p.info(ForNotice, g, index), p.parts[index-1].notice)
	if err != nil {
		return nil, fmt.Errorf("part one: %w", err)
	}
	n, err := decodeNoticePart(plain)
	if err != nil {
		return nil, err
	}
	if d, err := n.Account.Digest(); err != nil || d != p.account {
		return nil, malformed("part one opens another account than the package names")
	}
	return n, nil
}

// OpenShare opens part two of the stanza for this holder's key, the share. A gate opens
// it last. Errors are OpenNotice's, and ErrShare.
func (p *Package) OpenShare(h KeyHolder, g *Group) (*Share, error) {
	index, err := p.mine(h, g)
	if err != nil {
		return nil, err
	}
	b, err := h.Open(ForShare, p.info(ForShare, g, index), p.parts[index-1].sealed)
	if err != nil {
		return nil, fmt.Errorf("part two: %w", err)
	}
	return p.newShare(index, b)
}

// mine returns the index of the holder's share. Group, threshold and number of shares must
// be g's.
func (p *Package) mine(h KeyHolder, g *Group) (int, error) {
	if p.group != g.digest {
		return 0, fmt.Errorf("%w: the package is for another group than %s of %q", ErrNotMine, g.id, g.origin)
	}
	if p.threshold != g.threshold || len(p.parts) != len(g.members) {
		return 0, fmt.Errorf("%w: the package takes %d of %d shares, and the group %d of %d", ErrNotMine, p.threshold, len(p.parts), g.threshold, len(g.members))
	}
	hash, err := KeyHash(h.Public())
	if err != nil {
		return 0, err
	}
	if i := slices.IndexFunc(p.parts, func(q part) bool { return q.key == hash }); i >= 0 {
		return i + 1, nil
	}
	return 0, fmt.Errorf("%w: none of its stanzas is for this gate's key", ErrNotMine)
}

// info returns the bound fields of a part. Part two is bound to part one, so that part one
// can't be exchanged for one with another notice key. The group's id and numbers are g's,
// not the stanza's claims.
func (p *Package) info(purpose Purpose, g *Group, index int) []byte {
	q := &p.parts[index-1]
	parts := [][]byte{
		[]byte(g.origin), []byte(g.id), number(uint64(g.threshold)), number(uint64(len(g.members))),
		number(uint64(index)), q.key[:], p.nonce[:], p.account[:],
	}
	if purpose == ForShare {
		h := sha256.Sum256(q.notice)
		parts = append(parts, h[:])
	}
	return labelled(string(purpose), parts...)
}

// commitment returns the hash of a share, by which the package names it. A share is
// random, so the hash does not reveal it.
func (p *Package) commitment(index int, s share) event.Digest {
	return sha256.Sum256(labelled("vasistas share commitment v1", p.nonce[:], number(uint64(index)), s[:]))
}

// fileKeyCipher derives the cipher of the file key from the secret. The key is bound to
// all arguments of the stanzas and encrypts one message, so the nonce may be zero.
func (p *Package) fileKeyCipher(secret share) (cipher.AEAD, error) {
	parts := [][]byte{p.group[:], number(uint64(p.threshold)), number(uint64(len(p.parts))), p.nonce[:], p.account[:]}
	for i := range p.parts {
		parts = append(parts, p.parts[i].key[:], p.parts[i].share[:])
	}
	key, err := hkdf.Key(sha256.New, secret[:], nil, string(labelled("vasistas file key v1", parts...)), chacha20poly1305.KeySize)
	if err != nil {
		return nil, err
	}
	return chacha20poly1305.New(key)
}

// newShare returns an error unless b is the share that the package names.
func (p *Package) newShare(index int, b []byte) (*Share, error) {
	if index < 1 || index > len(p.parts) || len(b) != shareSize {
		return nil, fmt.Errorf("%w: %d bytes for share %d of %d", ErrShare, len(b), index, len(p.parts))
	}
	s := &Share{index, share(b), p.digest}
	if p.commitment(index, s.value) != p.parts[index-1].share {
		return nil, fmt.Errorf("%w: share %d is not the one whose hash the package has", ErrShare, index)
	}
	if _, err := scalarOf(s.value); err != nil {
		return nil, err
	}
	return s, nil
}

// FileKey combines shares, of which it needs the threshold. It never returns a wrong file
// key: a [Share] is one that the package names, and if the package's maker made shares
// that don't fit together, the error wraps ErrOpen.
func (p *Package) FileKey(shares []*Share) ([]byte, error) {
	var use []secretsharing.Share
	var seen []int
	for _, s := range shares {
		if s.of != p.digest {
			return nil, fmt.Errorf("%w: share %d is of another package", ErrShare, s.index)
		}
		// circl divides by the difference of two ids, and panics if it is zero.
		if slices.Contains(seen, s.index) || len(use) == p.threshold {
			continue
		}
		seen = append(seen, s.index)
		x, err := scalarOf(s.value)
		if err != nil {
			return nil, err
		}
		use = append(use, secretsharing.Share{ID: field.NewScalar().SetUint64(uint64(s.index)), Value: x})
	}
	if len(use) < p.threshold {
		return nil, fmt.Errorf("%d shares, and %d are needed", len(use), p.threshold)
	}
	x, err := secretsharing.Recover(uint(p.threshold-1), use)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrShare, err)
	}
	secret, err := bytesOf(x)
	if err != nil {
		return nil, err
	}
	aead, err := p.fileKeyCipher(secret)
	if err != nil {
		return nil, err
	}
	key, err := aead.Open(nil, make([]byte, aead.NonceSize()), p.wrapped[:], nil)
	if err != nil {
		return nil, fmt.Errorf("%w: the package was made with shares that don't fit together", ErrOpen)
	}
	return key, nil
}
