// Copyright 2026 The Vasistas authors.
// SPDX-License-Identifier: Apache-2.0

package eventkey

import (
	"bytes"
	"context"
	"crypto"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/sigstore/sigstore/pkg/cryptoutils"
	"github.com/sigstore/sigstore/pkg/signature"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/common"
	"github.com/sigstore/sigstore/pkg/signature/kms/cliplugin/encoding"
	"github.com/sigstore/sigstore/pkg/signature/options"

	"github.com/vasistas/vasistas/log/event"
)

const (
	// signTimeout bounds one call of a plug-in, so that a hanging KMS doesn't hang a
	// daemon. A child that keeps the plug-in's output open gets childTimeout more.
	signTimeout  = 30 * time.Second
	childTimeout = time.Second

	maxAnswer = 1 << 20
)

// plugin runs a sigstore plug-in, once for each call. Sigstore's own client waits for children
// of the plug-in without limit, keeps all that it prints, and panics at an unexpected answer.
type plugin struct {
	executable, key string
}

func loadKMS(ctx context.Context, ref string) (event.Signer, error) {
	// The name becomes part of an executable's name: it must not be a path.
	name, key, _ := strings.Cut(ref, "://")
	if name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
		return nil, fmt.Errorf("%w: %s", ErrReference, ref)
	}
	p := plugin{"sigstore-kms-" + name, key}
	public, err := p.public(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", ref, err)
	}
	return event.SignerOf(public, p.sign), nil
}

func (p plugin) public(ctx context.Context) (*event.PublicKey, error) {
	ctx, cancel := context.WithTimeout(ctx, signTimeout)
	defer cancel()
	r, err := p.call(ctx, nil, &common.MethodArgs{
		MethodName: common.PublicKeyMethodName,
		PublicKey: &common.PublicKeyArgs{
			PublicKeyOptions: encoding.PackPublicKeyOptions([]signature.PublicKeyOption{options.WithContext(ctx)}),
		},
	})
	if err != nil {
		return nil, err
	}
	if r.PublicKey == nil {
		return nil, fmt.Errorf("%w: its answer has no public key", ErrPlugin)
	}
	key, err := cryptoutils.UnmarshalPEMToPublicKey(r.PublicKey.PublicKeyPEM)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPlugin, err)
	}
	return event.NewPublicKey(key)
}

func (p plugin) sign(msg []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), signTimeout)
	defer cancel()
	r, err := p.call(ctx, msg, &common.MethodArgs{
		MethodName: common.SignMessageMethodName,
		SignMessage: &common.SignMessageArgs{
			SignOptions: encoding.PackSignOptions([]signature.SignOption{options.WithContext(ctx)}),
		},
	})
	if err != nil {
		return nil, err
	}
	if r.SignMessage == nil {
		return nil, fmt.Errorf("%w: its answer has no signature", ErrPlugin)
	}
	return r.SignMessage.Signature, nil
}

// call runs the plug-in until ctx ends. As in sigstore's protocol, its answer counts, whatever
// exit code above 0 it has.
func (p plugin) call(ctx context.Context, stdin []byte, method *common.MethodArgs) (*common.PluginResp, error) {
	args, err := json.Marshal(common.PluginArgs{
		InitOptions: &common.InitOptions{
			ProtocolVersion: common.ProtocolVersion, KeyResourceID: p.key, HashFunc: crypto.SHA256, RPCOptions: encoding.PackRPCOptions(nil),
		},
		MethodArgs: method,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPlugin, err)
	}
	var out answer
	cmd := exec.CommandContext(ctx, p.executable, common.ProtocolVersion, string(args))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(stdin), &out, os.Stderr
	cmd.WaitDelay = childTimeout
	err = cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ctx.Err() != nil || err != nil && (!ok || exit.ExitCode() < 1) {
		return nil, fmt.Errorf("%w: %w", ErrPlugin, errors.Join(ctx.Err(), err))
	}
	r := new(common.PluginResp)
	switch err := json.Unmarshal(out.b, r); {
	case err != nil:
		return nil, fmt.Errorf("%w: its answer: %w", ErrPlugin, err)
	case r.ErrorMessage != "":
		return nil, fmt.Errorf("%w: %s", ErrPlugin, r.ErrorMessage)
	}
	return r, nil
}

// answer keeps what a plug-in prints, and refuses more than maxAnswer bytes. It has no other
// method of a bytes.Buffer, since ReadFrom has no bound.
type answer struct{ b []byte }

func (a *answer) Write(b []byte) (int, error) {
	if len(a.b)+len(b) > maxAnswer {
		return 0, fmt.Errorf("it printed more than %d bytes", maxAnswer)
	}
	a.b = append(a.b, b...)
	return len(b), nil
}
