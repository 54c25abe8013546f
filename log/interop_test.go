// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	formatslog "github.com/transparency-dev/formats/log"
	formatsnote "github.com/transparency-dev/formats/note"
	formatsproof "github.com/transparency-dev/formats/proof"
	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"
	"github.com/transparency-dev/tessera/api"
	tesseraclient "github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/fsck"
	"golang.org/x/mod/sumdb/note"
	sumdb "golang.org/x/mod/sumdb/tlog"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log/tlog"
)

func verifier(t testing.TB, k *tlog.Signer) note.Verifier {
	t.Helper()
	v, err := note.NewVerifier(k.Verifier().String())
	check(t, err)
	return v
}

// hashBundle is the bundle hasher that Tessera's tools want.
func hashBundle(b []byte) ([][]byte, error) {
	var bundle api.EntryBundle
	if err := bundle.UnmarshalText(b); err != nil {
		return nil, err
	}
	var out [][]byte
	for _, e := range bundle.Entries {
		out = append(out, rfc6962.DefaultHasher.HashLeaf(e))
	}
	return out, nil
}

// TestTesseraReads checks that Tessera's client and its fsck read the log over HTTP, at
// sizes with and without partial tiles, and at several levels.
func TestTesseraReads(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.start()
	for _, n := range []int{1, 255, 2, 254, 30} { // 1, 256, 258, 512, 542
		entries := w.warrants(n)
		w.stream(entries, "cosigned")
		root, err := url.Parse(w.url)
		check(t, err)
		fetcher, err := tesseraclient.NewHTTPFetcher(root, nil)
		check(t, err)
		check(t, fsck.New(origin, verifier(t, w.keys[0]), fetcher, hashBundle, fsck.Opts{N: 2}).Check(t.Context()))
		cp, _, _, err := tesseraclient.FetchCheckpoint(t.Context(), fetcher.ReadCheckpoint, verifier(t, w.keys[0]), origin)
		check(t, err)
		pb, err := tesseraclient.NewProofBuilder(t.Context(), cp.Size, fetcher.ReadTile)
		check(t, err)
		for _, i := range []uint64{0, cp.Size / 2, cp.Size - 1} {
			p, err := pb.InclusionProof(t.Context(), i)
			check(t, err)
			bundle, err := tesseraclient.GetEntryBundle(t.Context(), fetcher.ReadEntryBundle, i/256, cp.Size)
			check(t, err)
			leaf := rfc6962.DefaultHasher.HashLeaf(bundle.Entries[i%256])
			check(t, proof.VerifyInclusion(rfc6962.DefaultHasher, i, cp.Size, leaf, p, cp.Hash))
		}
		last := w.append(entries[n-1])
		if got := must(pb.InclusionProof(t.Context(), last.Index)); len(got) != len(last.Hashes) {
			t.Errorf("our proof of entry %d has %d hashes, Tessera's %d", last.Index, len(last.Hashes), len(got))
		}
	}
	w.audit()
}

// tileReader is what golang.org/x/mod/sumdb/tlog reads tiles with.
type tileReader struct{ w *world }

func (r tileReader) Height() int { return 8 }

func (r tileReader) ReadTiles(ts []sumdb.Tile) ([][]byte, error) {
	var out [][]byte
	for _, t := range ts {
		b, err := overHTTP(r.w.url).ReadTile(r.w.t.Context(), tlog.Tile{Level: t.L, Index: uint64(t.N), Width: t.W})
		if err != nil {
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

func (r tileReader) SaveTiles([]sumdb.Tile, [][]byte) {}

// TestSumDBReads checks that the Go checksum database's code proves from our tiles, and
// verifies our proofs.
func TestSumDBReads(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.start()
	w.stream(w.warrants(300), "cosigned")
	old := w.checkpoint()
	p := w.append(w.warrant())
	cp := p.Checkpoint
	hashes := sumdb.TileHashReader(sumdb.Tree{N: int64(cp.Size), Hash: sumdb.Hash(cp.Root)}, tileReader{w})
	tree, err := sumdb.ProveTree(int64(cp.Size), int64(old.Size), hashes)
	check(t, err)
	check(t, sumdb.CheckTree(tree, int64(cp.Size), sumdb.Hash(cp.Root), int64(old.Size), sumdb.Hash(old.Root)))
	for _, i := range []int64{0, 255, 256, int64(p.Index)} {
		rp, err := sumdb.ProveRecord(int64(cp.Size), i, hashes)
		check(t, err)
		leaf, err := hashes.ReadHashes([]int64{sumdb.StoredHashIndex(0, i)})
		check(t, err)
		check(t, sumdb.CheckRecord(rp, int64(cp.Size), sumdb.Hash(cp.Root), i, leaf[0]))
	}
	var ours sumdb.RecordProof
	for _, h := range p.Hashes {
		ours = append(ours, sumdb.Hash(h))
	}
	check(t, sumdb.CheckRecord(ours, int64(cp.Size), sumdb.Hash(cp.Root), int64(p.Index), sumdb.RecordHash(p.Extra)))
	// It reads our notes too, up to the key types that it does not know.
	n, err := note.Open(cp.Bytes(), note.VerifierList(verifier(t, w.keys[0])))
	check(t, err)
	if len(n.Sigs) != 1 || n.Text != string(cp.Text()) {
		t.Errorf("the note: %+v", n)
	}
}

// TestFormatsReads checks that transparency-dev/formats reads our checkpoint, with both
// of the log's lines and the witness's, and our proof file.
func TestFormatsReads(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.start()
	w.stream(w.warrants(20), "cosigned")
	p := w.append(w.warrant())
	mldsa, err := formatsnote.NewMLDSAVerifier(w.keys[1].Verifier().String())
	check(t, err)
	witness, err := formatsnote.NewVerifierForCosignatureV1(w.witnesses[0].key.Verifier().String())
	check(t, err)
	raw := p.Checkpoint.Bytes()
	cp, rest, n, err := formatslog.ParseCheckpoint(raw, origin, verifier(t, w.keys[0]), mldsa, witness)
	check(t, err)
	if cp.Size != p.Checkpoint.Size || !bytes.Equal(cp.Hash, p.Checkpoint.Root[:]) || len(rest) != 0 || len(n.Sigs) != 3 {
		t.Errorf("the checkpoint: %+v with %d signatures, rest %q", cp, len(n.Sigs), rest)
	}
	var tp formatsproof.TLogProof
	check(t, tp.Unmarshal(p.Bytes()))
	if tp.Index != p.Index || !bytes.Equal(tp.Checkpoint, raw) || !bytes.Equal(tp.ExtraData, p.Extra) || len(tp.Hashes) != len(p.Hashes) {
		t.Errorf("the proof: %+v", tp)
	}
	if !bytes.Equal(tp.Marshal(), p.Bytes()) {
		t.Error("it writes the proof in another way")
	}
}

// buildOnce builds a command of another module or of this one, once a run.
var builds sync.Map

func build(t testing.TB, dir, pkg string) string {
	t.Helper()
	once, _ := builds.LoadOrStore(dir+" "+pkg, sync.OnceValues(func() (string, error) {
		tmp, err := os.MkdirTemp(binaries, "")
		if err != nil {
			return "", err
		}
		name := filepath.Join(tmp, filepath.Base(filepath.Join(dir, pkg)))
		cmd := exec.Command("go", "build", "-o", name, pkg)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("go build %s: %w\n%s", pkg, err, out)
		}
		return name, nil
	}))
	name, err := once.(func() (string, error))()
	check(t, err)
	return name
}

// binaries is where TestMain has commands built.
var binaries string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if binaries, err = os.MkdirTemp("", "vasistas-log-test-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(binaries)
		return m.Run()
	}())
}

// TestStrangersWitness checks that the witness of transparency-dev/witness cosigns our
// log, from its first head on, also after a restart of the log.
func TestStrangersWitness(t *testing.T) {
	t.Parallel()
	bin := build(t, "../internal/interop/tdwitness", ".")
	w := newWorld(t, 0, 0)
	dir := t.TempDir()
	args := []string{"-db", filepath.Join(dir, "db"), "-log", w.keys[0].Verifier().String()}
	var vkeys []*tlog.VerifierKey
	for _, a := range []tlog.Algorithm{tlog.CosignatureEd25519, tlog.CosignatureMLDSA44} {
		key, err := tlog.GenerateSigner("stranger.example", a)
		check(t, err)
		name := filepath.Join(dir, a.String())
		check(t, os.WriteFile(name, []byte(key.Secret()+"\n"), 0o600))
		args = append(args, "-key", name)
		vkeys = append(vkeys, key.Verifier())
	}
	cmd := exec.Command(bin, args...)
	stdin, err := cmd.StdinPipe()
	check(t, err)
	stdout, err := cmd.StdoutPipe()
	check(t, err)
	cmd.Stderr = &bytes.Buffer{}
	check(t, cmd.Start())
	t.Cleanup(func() {
		stdin.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("tdwitness: %v\n%s", err, cmd.Stderr)
		}
	})
	address, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("tdwitness said %q: %v\n%s", address, err, cmd.Stderr)
	}
	policy := fmt.Sprintf("log %s\n", w.keys[0].Verifier())
	for i, k := range vkeys {
		policy += fmt.Sprintf("witness key%d %s http://%s\n", i, k, strings.TrimSpace(address))
	}
	// Both keys, which one request is to bring.
	w.policy, err = tlog.ParsePolicy([]byte(policy + "group stranger all key0 key1\nquorum stranger\n"))
	check(t, err)
	w.start()
	w.stream(w.warrants(300), "cosigned")
	w.append(w.warrant())
	w.stop()
	w.start()
	if p := w.append(w.warrant()); p.Index != 302 {
		t.Errorf("after a restart, the next event is at %d", p.Index)
	}
	w.audit()
}

// TestStatic checks that a file server can serve what the log serves, and the other way
// round: the engine's files are tlog-tiles.
func TestStatic(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.start()
	w.stream(w.warrants(600), "cosigned")
	cp := w.checkpoint()
	dir := os.DirFS(w.tree())
	for level := -1; level < 3; level++ {
		for i := uint64(0); tiles.Width(max(level, 0), i, cp.Size) > 0; i++ {
			tile := tlog.Tile{Level: level, Index: i, Width: tiles.Width(max(level, 0), i, cp.Size)}
			status, b := w.get("/" + tile.Path())
			onDisk, err := fs.ReadFile(dir, tile.Path())
			check(t, err)
			if status != http.StatusOK || !bytes.Equal(b, onDisk) {
				t.Errorf("%s: served %d, %d bytes; the file has %d", tile.Path(), status, len(b), len(onDisk))
			}
		}
	}
	if n := strconv.FormatUint(cp.Size, 10); n != "601" {
		t.Errorf("the log has %s entries", n)
	}
}
