// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package log_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vasistas/vasistas/internal/tiles"
	"github.com/vasistas/vasistas/log"
	"github.com/vasistas/vasistas/log/tesserax"
	"github.com/vasistas/vasistas/log/tlog"
)

// cosign answers as a witness of the key would, at a time.
func cosign(t testing.TB, key *tlog.Signer, at time.Time) lie {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		req, err := tlog.ParseAddCheckpoint(body)
		if err != nil {
			t.Error(err)
			return
		}
		sig, err := key.Sign(&req.Checkpoint.Head, uint64(at.Unix()))
		if err != nil {
			t.Error(err)
			return
		}
		w.Write(tlog.SignatureLines([]tlog.Signature{sig}))
	}
}

// TestWitnessFaults checks that a majority of witnesses that are gone, slow or lying
// stops publication, which resumes by itself, and that a minority stops nothing.
// Admission goes on either way.
func TestWitnessFaults(t *testing.T) {
	t.Parallel()
	stranger, err := tlog.GenerateSigner("witness1.example", tlog.CosignatureEd25519)
	check(t, err)
	says := func(status int, body string) func(*witnessServer) lie {
		return func(*witnessServer) lie {
			return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
				w.WriteHeader(status)
				io.WriteString(w, body)
			}
		}
	}
	var flips, hours atomic.Int64
	for name, lies := range map[string]func(s *witnessServer) lie{
		"down": func(*witnessServer) lie { return down },
		"slow": func(*witnessServer) lie {
			return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) {
				io.Copy(io.Discard, r.Body)
				<-r.Context().Done()
			}
		},
		"slow in the middle": func(*witnessServer) lie {
			return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				io.Copy(io.Discard, r.Body)
				io.WriteString(w, "— witness")
				w.(http.Flusher).Flush()
				<-r.Context().Done()
			}
		},
		"500":                             says(500, "no"),
		"404":                             says(404, "no such log"),
		"403":                             says(403, "no"),
		"empty":                           says(200, ""),
		"garbage":                         says(200, "\x00\xff\n"),
		"prose":                           says(200, "cosigned\n"),
		"409 of itself":                   says(409, "0\n"),
		"409 of no size":                  says(409, "many\n"),
		"409 of a size that is too large": says(409, "18446744073709551616\n"),
		"ahead without evidence":          says(409, "999999\n"),
		"a conflict without evidence":     says(422, "no"),
		"a redirection":                   says(307, ""),
		"huge": func(*witnessServer) lie {
			return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
				line := bytes.Repeat([]byte("x"), 64<<10)
				for {
					if _, err := w.Write(line); err != nil {
						return
					}
				}
			}
		},
		"409 back and forth": func(*witnessServer) lie {
			return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
				w.WriteHeader(409)
				fmt.Fprintf(w, "%d\n", flips.Add(1)%2)
			}
		},
		"a conflict, showing an old head": func(*witnessServer) lie {
			return func(w http.ResponseWriter, r *http.Request, h http.Handler) {
				if r.Method == http.MethodGet {
					h.ServeHTTP(w, r)
					return
				}
				w.WriteHeader(422)
			}
		},
		"ahead, showing a head of another key": func(*witnessServer) lie {
			return func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				if r.Method == http.MethodGet {
					key, err := tlog.GenerateSigner(origin, tlog.Ed25519)
					if err != nil {
						t.Error(err)
						return
					}
					head := tlog.Head{Origin: origin, Size: 999}
					sig, err := key.Sign(&head, 0)
					if err != nil {
						t.Error(err)
						return
					}
					w.Write((&tlog.Checkpoint{Head: head, Signatures: []tlog.Signature{sig}}).Bytes())
					return
				}
				w.WriteHeader(409)
				io.WriteString(w, "999\n")
			}
		},
		"another's key of its name": func(*witnessServer) lie { return cosign(t, stranger, time.Now()) },
		"each its own time": func(s *witnessServer) lie {
			return cosign(t, s.key, time.Now().Add(time.Duration(hours.Add(1))*time.Hour))
		},
		"a signature of another tree": func(s *witnessServer) lie {
			return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
				sig, err := s.key.Sign(&tlog.Head{Origin: origin, Size: 1}, uint64(time.Now().Unix()))
				if err != nil {
					t.Error(err)
				}
				w.Write(tlog.SignatureLines([]tlog.Signature{sig}))
			}
		},
		"a flipped bit": func(*witnessServer) lie {
			return func(w http.ResponseWriter, r *http.Request, h http.Handler) {
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, r)
				b := rec.Body.Bytes()
				if len(b) > 20 {
					b[len(b)-20] ^= 1
				}
				w.WriteHeader(rec.Code)
				w.Write(b)
			}
		},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2, 3)
			w.config.WitnessTimeout = time.Second
			w.start()
			w.append(w.warrant())
			w.witnesses[2].answer(lies(w.witnesses[2]))
			for range 2 {
				if _, err := w.submit(w.warrant()); err != nil {
					t.Fatalf("a minority stops publication: %v", err)
				}
			}
			w.witnesses[1].answer(lies(w.witnesses[1]))
			entry := w.warrant()
			w.mustSequence(entry)
			before := failedRounds(w.log)
			eventually(t, func() error {
				if n := failedRounds(w.log) - before; n < 3 {
					return fmt.Errorf("%v rounds have failed", n)
				}
				return nil
			})
			if cp := w.checkpoint(); cp.Size != 4 {
				t.Fatalf("published without a quorum: %d entries", cp.Size)
			}
			w.mustSequence(w.warrant())
			w.witnesses[1].answer(nil)
			w.published(6)
			w.append(entry)
			if err := w.log.Err(); err != nil {
				t.Errorf("the log says %v", err)
			}
			if evidence := must(filepath.Glob(filepath.Join(w.state(), "evidence-*"))); len(evidence) > 0 {
				t.Errorf("a lie became evidence: %v", evidence)
			}
			w.audit()
		})
	}
}

// failedRounds returns how many rounds did not end with a publication.
func failedRounds(l *log.Log) float64 {
	text := l.Metrics()
	return metric(text, `vasistas_log_rounds_total{outcome="no_quorum"}`) + metric(text, `vasistas_log_rounds_total{outcome="failed"}`)
}

// TestWitnessEvidence checks that a conflicting head with this log's valid signature
// stops the log for good, and is kept.
func TestWitnessEvidence(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]uint64{"of the same size": 2, "of an earlier size": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, 2, 3)
			w.start()
			w.append(w.warrant())
			w.append(w.warrant())
			head := tlog.Head{Origin: origin, Size: size, Root: [32]byte{1}}
			sig, err := w.keys[0].Sign(&head, 0)
			check(t, err)
			fork := (&tlog.Checkpoint{Head: head, Signatures: []tlog.Signature{sig}}).Bytes()
			w.witnesses[2].answer(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
				if r.Method == http.MethodGet {
					w.Write(fork)
					return
				}
				w.WriteHeader(422)
			})
			if size == 1 {
				// The head is at 3 when the witness speaks.
				w.mustSequence(w.warrant())
			}
			eventually(t, func() error {
				_, err := w.sequence(w.warrant())
				if !isProblem(err, "not-ready") || !errors.Is(w.log.Err(), log.ErrForked) {
					return fmt.Errorf("%w; the log says %v", err, w.log.Err())
				}
				return nil
			})
			name := filepath.Join(w.state(), fmt.Sprintf("evidence-%d-01000000", size))
			if b, err := os.ReadFile(name); err != nil || !bytes.Equal(b, fork) {
				t.Errorf("the evidence: %v", err)
			}
			// A liar's evidence ends with a restart.
			w.stop()
			w.witnesses[2].answer(nil)
			w.goesOn()
		})
	}
}

// TestWitnessLater checks that a log stops if a witness shows a later head whose entries came since
// the log was opened: another instance signed it, from a copy of the state.
func TestWitnessLater(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 3)
	w.start()
	w.append(w.warrant())
	asked, grown := make(chan struct{}, 10), make(chan struct{})
	var later []byte
	w.witnesses[0].answer(down)
	w.witnesses[1].answer(down)
	w.witnesses[2].answer(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		if r.Method == http.MethodGet {
			w.Write(later)
			return
		}
		asked <- struct{}{}
		<-grown
		w.WriteHeader(409)
		io.WriteString(w, "4\n")
	})
	w.mustSequence(w.warrant()) // the head of size 3 is signed, and waits for its witnesses
	<-asked
	w.mustSequence(w.warrant())
	var edge tiles.Frontier
	for entry := range tesserax.Salvage(w.tree(), 0) {
		check(t, edge.Append(tiles.LeafHash(entry), func(tlog.Tile, []byte) error { return nil }))
	}
	head := tlog.Head{Origin: origin, Size: 4, Root: edge.Root()}
	sig, err := w.keys[0].Sign(&head, 0)
	check(t, err)
	later = (&tlog.Checkpoint{Head: head, Signatures: []tlog.Signature{sig}}).Bytes()
	close(grown)
	eventually(t, func() error {
		if err := w.log.Err(); !errors.Is(err, log.ErrLogBehind) {
			return fmt.Errorf("the log says %w", err)
		}
		return nil
	})
}

// TestWitnessDamage checks that a log with a damaged tile takes no head of its own for
// a fork.
func TestWitnessDamage(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 3)
	w.start()
	w.stream(w.warrants(99), "cosigned")
	early := w.checkpoint().Bytes()
	w.stream(w.warrants(200), "cosigned")
	w.stop()
	// The root at size 100 is made of it.
	flip(t, filepath.Join(w.tree(), "tile/0/000"), 20)
	w.start()
	asked := make(chan struct{}, 100)
	w.witnesses[2].answer(func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		if r.Method == http.MethodGet {
			w.Write(early)
			asked <- struct{}{}
			return
		}
		w.WriteHeader(422)
	})
	for range 3 {
		w.append(w.warrant())
		<-asked
	}
	if err := w.log.Err(); err != nil {
		t.Errorf("the log says %v", err)
	}
}

// TestWitnessesAtStart checks that before its first signature the log hears so many
// witnesses that no quorum can have seen a later head, and that a witness that only
// claims to know more counts as unheard.
func TestWitnessesAtStart(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 2, 3)
	w.start()
	w.append(w.warrant())
	w.stop()
	ahead := func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		if r.Method == http.MethodGet {
			w.WriteHeader(404)
			return
		}
		w.WriteHeader(409)
		io.WriteString(w, "77\n")
	}
	w.witnesses[0].answer(ahead)
	w.witnesses[1].answer(down)
	w.mustOpen()
	eventually(t, func() error {
		err := w.log.Err()
		if !errors.Is(err, log.ErrStarting) || !strings.Contains(err.Error(), "77 entries") || !strings.Contains(err.Error(), "recover") {
			return fmt.Errorf("the log says %w", err)
		}
		return nil
	})
	w.checkpoint() // what was published stays so
	w.witnesses[1].answer(nil)
	w.ready() // two of three are enough
	w.append(w.warrant())
	w.audit()
}

// TestRefresh checks that the cosignatures of an idle log do not get old.
func TestRefresh(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 1, 1)
	w.config.Refresh = 100 * time.Millisecond
	w.start()
	w.append(w.warrant())
	first := w.checkpoint()
	eventually(t, func() error {
		now := w.checkpoint()
		if now.Size != 2 || bytes.Equal(now.Bytes(), first.Bytes()) {
			return errors.New("the checkpoint is the same")
		}
		return nil
	})
}

// TestManyWitnesses checks that a checkpoint keeps a satisfying set if there are more
// cosignatures than it has room for.
func TestManyWitnesses(t *testing.T) {
	t.Parallel()
	w := newWorld(t, 3, 18)
	w.start()
	w.append(w.warrant())
	if cp := w.checkpoint(); len(cp.Signatures) > 16 || len(cp.Signatures) < 5 {
		t.Errorf("%d lines", len(cp.Signatures))
	}
	w.stop()
	w.setPolicy(15)
	if err := w.open(); err == nil || !strings.Contains(err.Error(), "smaller quorum") {
		t.Errorf("opened with a policy that no checkpoint can meet: %v", err)
	}
}
