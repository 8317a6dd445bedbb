package config_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/gob"
	"fmt"
	"io"
	"net/netip"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicegateway/sluice/config"
)

func encoded(t *testing.T, d *config.Delta) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := config.Encode(&b, d); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What comes back is equal in every field, keys among them.
func TestStoreRoundTrip(t *testing.T) {
	for name, d := range map[string]*config.Delta{"whole": whole(), "empty": {}, "reset": {Version: 3, Reset: true}} {
		got, err := config.Decode(bytes.NewReader(encoded(t, d)))
		if err != nil {
			t.Fatal(name, err)
		}
		if diff := cmp.Diff(d, got, cmp.Comparer(func(a, b netip.Addr) bool { return a == b }), cmp.Comparer(func(a, b netip.AddrPort) bool { return a == b }), cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

func TestStoreRefuses(t *testing.T) {
	gobbed := func(v any) []byte {
		var b bytes.Buffer
		if err := gob.NewEncoder(&b).Encode(v); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	type head struct {
		Name      string
		Store     int
		Listeners int
	}
	good := encoded(t, whole())
	for name, test := range map[string]struct {
		file []byte
		want string
	}{
		"nothing":               {nil, io.ErrUnexpectedEOF.Error()},
		"half a file":           {good[:len(good)/2], io.ErrUnexpectedEOF.Error()},
		"another format":        {[]byte("listeners: []\n"), "reading a stored configuration"},
		"another gob":           {gobbed(head{Name: "x"}), "something else"},
		"another version":       {gobbed(head{Name: "sluice-configuration", Store: 1000}), "version 1000"},
		"more than it can have": {gobbed(head{Name: "sluice-configuration", Store: 2, Listeners: 1 << 40}), "claims to have"},
		"less than it says":     {gobbed(head{Name: "sluice-configuration", Store: 2, Listeners: 2}), io.ErrUnexpectedEOF.Error()},
		"a negative count":      {gobbed(head{Name: "sluice-configuration", Store: 2, Listeners: -1}), "claims to have"},
	} {
		if d, err := config.Decode(bytes.NewReader(test.file)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, %v; want an error with %q", name, d, err, test.want)
		}
	}
}

// A file of other types would be read without an error, and what it lacks be
// zero. So when this fails, raise storeVersion and put the new sum here.
func TestStoreVersionFollowsTypes(t *testing.T) {
	var shape strings.Builder
	describe(&shape, reflect.TypeFor[config.Delta](), map[reflect.Type]bool{})
	const known = "45293a84494acd31604704620639c85df97c07ddda6c6a73a83e1b3b52200384"
	if sum := fmt.Sprintf("%x", sha256.Sum256([]byte(shape.String()))); sum != known {
		t.Errorf("the types of the configuration have changed; their sum is now %s", sum)
	}
}

func describe(out *strings.Builder, t reflect.Type, seen map[reflect.Type]bool) {
	fmt.Fprintln(out, t)
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice:
		describe(out, t.Elem(), seen)
	case reflect.Struct:
		if seen[t] || !strings.HasSuffix(t.PkgPath(), "/config") {
			return
		}
		seen[t] = true
		for f := range t.Fields() {
			fmt.Fprintln(out, f.Name)
			describe(out, f.Type, seen)
		}
	}
}
