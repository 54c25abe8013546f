// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/vasistas/vasistas/client"
	"github.com/vasistas/vasistas/log/event"
)

// impossibleEvent makes the warrant of a row whose dates can't be: its window ends
// before it begins. Package event makes no such thing, so the two dates of a good
// one are exchanged, and the court signs that. Everything else about it is right.
func impossibleEvent(origin string, k *signers, a *accepted) ([]byte, error) {
	agency, err := k.agency(a.agency)
	if err != nil {
		return nil, err
	}
	c := a.terms
	c.window = -c.window
	d, err := newWarrant(origin, agency, a.row, &c)
	if err != nil {
		return nil, err
	}
	if err := d.Seal(d.Time.Add(c.seal), d.public, d.subject); err != nil {
		return nil, err
	}
	payload, err := d.Bytes()
	if err != nil {
		return nil, err
	}
	body := d.Body.(*event.Warrant)
	member := func(name string, of, as string) {
		payload = bytes.Replace(payload, fmt.Appendf(nil, "%q:%q", name, of), fmt.Appendf(nil, "%q:%q", name, as), 1)
	}
	const layout = "2006-01-02T15:04:05Z"
	begins, ends := body.NotBefore.Format(layout), body.NotAfter.Format(layout)
	member("notBefore", begins, ends)
	member("notAfter", ends, begins)
	return signRaw(payload, k.courts[a.court])
}

// signRaw signs any payload: DSSE, version 1, as package event writes it.
func signRaw(payload []byte, by event.Signer) ([]byte, error) {
	sig, err := by.Sign(fmt.Appendf(nil, "DSSEv1 %d %s %d %s", len(event.PayloadType), event.PayloadType, len(payload), payload))
	if err != nil {
		return nil, err
	}
	type signature struct {
		KeyID string `json:"keyid"`
		Sig   []byte `json:"sig"`
	}
	return json.Marshal(struct {
		Payload     []byte      `json:"payload"`
		PayloadType string      `json:"payloadType"`
		Signatures  []signature `json:"signatures"`
	}{payload, event.PayloadType, []signature{{by.KeyID(), sig}}})
}

// offer submits what the log must refuse.
func (w *world) offer(ctx context.Context, submission []byte) (*client.Problem, error) {
	status, body, err := call(ctx, http.MethodPost, w.url+"/events", "application/json", bytes.NewReader(submission))
	if err != nil {
		return nil, err
	}
	if status/100 == 2 {
		return nil, fmt.Errorf("%w: the log took what it must refuse", errSucceeded)
	}
	a := new(client.Problem)
	if err := json.Unmarshal(body, a); err != nil {
		return nil, fmt.Errorf("the log answered %d: %s", status, body)
	}
	if status/100 != 4 {
		return nil, fmt.Errorf("the log answered %d, and not that it refuses: %s", status, a.Detail)
	}
	return a, nil
}

// offerImpossible offers the log the rows whose dates can't be.
func (s *story) offerImpossible(ctx context.Context) error {
	refused := make(map[string]int)
	for i := range s.batch.impossible {
		a := &s.batch.impossible[i]
		entry, err := impossibleEvent(origin, s.signers, a)
		if err != nil {
			return fmt.Errorf("row %s: %w", a.ID, err)
		}
		got, err := s.offer(ctx, entry)
		if err != nil {
			return fmt.Errorf("row %s: %w", a.ID, err)
		}
		if got.Code() != client.CodeForm || !strings.Contains(got.Detail, "notAfter") {
			return errors.New("row " + a.ID + " was refused, but not for its dates: " + got.Detail)
		}
		refused[fmt.Sprintf("HTTP %d, rule %s: %s", got.Status, got.Code(), got.Detail)]++
	}
	if len(refused) == 0 {
		return nil
	}
	s.title("Dates that can't be")
	s.wrap("  ", "Rows whose period ends before it begins, or that were filed before they were signed, are not mended. "+
		"Their courts' keys signed them as they stand, and they were offered to the log:")
	for _, why := range byCount(refused) {
		s.wrap("  ", fmt.Sprintf("-> %d refused: %s", refused[why], why))
	}
	return nil
}
