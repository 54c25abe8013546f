// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package vault

import (
	"encoding/base64"
	"fmt"

	"github.com/vasistas/vasistas/log/event"
)

// bodyRoom bounds a disclosure's openings and notices, in bytes of their JSON. The
// envelope is base64 of the payload (4 bytes for 3) and up to event.MaxSignatures
// signatures; the payload also has the header, with an origin of up to 255 bytes,
// and the reference.
const (
	signatureRoom = event.MaxSignatures * 200
	headerRoom    = 700
	bodyRoom      = (event.MaxEntrySize-200-signatureRoom)/4*3 - headerRoom
)

// Disclosures returns the bodies of the disclosure events that publish the whole
// record. Each entry stays within [event.MaxEntrySize] under any origin and any
// number of signatures. index is the log's index of env. Disclosures fails if the
// record is not of this event.
func Disclosures(index uint64, env *event.Envelope, r *Record) ([]*event.Disclosure, error) {
	if h := event.Digest(env.Hash()); h != r.hash {
		return nil, fmt.Errorf("vault: the record is of event %s, not of event %s in entry %d", r.hash, h, index)
	}
	if err := r.check(env.Event); err != nil {
		return nil, fmt.Errorf("vault: the record doesn't match entry %d: %w", index, err)
	}
	ref := event.Reference{Index: index, Leaf: env.LeafHash()}
	var out []*event.Disclosure
	room, openings, notices := 0, 0, 0 // left in the last one
	next := func(size int) *event.Disclosure {
		if len(out) == 0 || room < size || openings == 0 || notices == 0 {
			out = append(out, &event.Disclosure{Event: ref})
			room, openings, notices = bodyRoom, event.MaxDigests, maxNotices
		}
		room -= size
		return out[len(out)-1]
	}
	for _, o := range r.openings {
		text, err := o.Encode()
		if err != nil {
			return nil, fmt.Errorf("vault: %w", err)
		}
		d := next(len(text) + len(`"",`))
		d.Openings = append(d.Openings, o)
		openings--
	}
	for _, n := range r.notices {
		d := next(base64.RawURLEncoding.EncodedLen(len(n)) + len(`"",`))
		d.Notices = append(d.Notices, n)
		notices--
	}
	return out, nil
}
