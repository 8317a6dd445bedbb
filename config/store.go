package config

import (
	"bufio"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
)

// What begins a stored configuration. Whoever changes the types of this
// package raises the version: gob would fill what an old file lacks with zeros.
const (
	storeName    = "sluice-configuration"
	storeVersion = 2
)

// maxStored bounds a stored configuration in bytes, and maxResources what it has
// of each kind.
const (
	maxStored    = 512 << 20
	maxResources = 1 << 20
)

// storeHead goes before the resources. They follow one by one, so that neither
// writing nor reading holds the whole in memory twice.
type storeHead struct {
	Name                        string
	Store                       int
	Version                     uint64
	Reset                       bool
	Listeners, Routes, Backends int
	Removed                     []Ref
}

// Encode writes the delta for Decode, with the keys of its certificates: what it
// writes is secret.
func Encode(w io.Writer, d *Delta) error {
	out := bufio.NewWriter(w)
	e := gob.NewEncoder(out)
	err := e.Encode(&storeHead{storeName, storeVersion, d.Version, d.Reset, len(d.Listeners), len(d.Routes), len(d.Backends), d.Removed})
	if err == nil {
		err = errors.Join(encodeAll(e, d.Listeners), encodeAll(e, d.Routes), encodeAll(e, d.Backends))
	}
	if err == nil {
		err = out.Flush()
	}
	if err != nil {
		return fmt.Errorf("storing the configuration: %w", err)
	}
	return nil
}

func encodeAll[R any](e *gob.Encoder, resources []*R) error {
	for _, r := range resources {
		if err := e.Encode(r); err != nil {
			return err
		}
	}
	return nil
}

// Decode reads what Encode of this version of Sluice wrote. It does not validate.
func Decode(r io.Reader) (*Delta, error) {
	d, err := decode(gob.NewDecoder(bufio.NewReader(io.LimitReader(r, maxStored))))
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("reading a stored configuration: %w", err)
	}
	return d, nil
}

func decode(in *gob.Decoder) (*Delta, error) {
	var head storeHead
	if err := in.Decode(&head); err != nil {
		return nil, err
	}
	if head.Name != storeName {
		return nil, errors.New("it is something else")
	}
	if head.Store != storeVersion {
		return nil, fmt.Errorf("it has version %d and this version of Sluice reads version %d; delete it", head.Store, storeVersion)
	}
	d := &Delta{Version: head.Version, Reset: head.Reset, Removed: head.Removed}
	var err error
	if d.Listeners, err = decodeAll[Listener](in, head.Listeners); err != nil {
		return nil, err
	}
	if d.Routes, err = decodeAll[Route](in, head.Routes); err != nil {
		return nil, err
	}
	d.Backends, err = decodeAll[Backend](in, head.Backends)
	return d, err
}

func decodeAll[R any](in *gob.Decoder, n int) ([]*R, error) {
	if n < 0 || n > maxResources {
		return nil, fmt.Errorf("it claims to have %d resources of one kind", n)
	}
	var all []*R
	for range n {
		r := new(R)
		if err := in.Decode(r); err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}
