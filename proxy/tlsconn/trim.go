package tlsconn

import (
	"bytes"
	"crypto/tls"
	"reflect"
	"unsafe"
)

// crypto/tls keeps, for as long as a connection lives, buffers of the size of
// the ClientHello and of the largest record that came in: up to 32 KiB that an
// idle connection has no use for. There is no call to let them go, so they are
// reached where they are. Should their names or types change, nothing is done
// (the test of the memory of idle connections finds that).
var (
	rawInput = fieldOf[bytes.Buffer]("rawInput")
	hand     = fieldOf[bytes.Buffer]("hand")
	input    = fieldOf[bytes.Reader]("input")
)

// field is where a tls.Conn has a T.
type field[T any] struct {
	offset uintptr
	known  bool
}

func fieldOf[T any](name string) field[T] {
	f, ok := reflect.TypeFor[tls.Conn]().FieldByName(name)
	return field[T]{f.Offset, ok && f.Type == reflect.TypeFor[T]()}
}

func (f field[T]) of(c *tls.Conn) *T { return (*T)(unsafe.Add(unsafe.Pointer(c), f.offset)) }

// kept is the largest buffer for records that an idle connection keeps, so that
// small requests need no new one.
const kept = 2 << 10

// trim lets buffers go that have nothing in them, and are larger than most bytes.
// Nobody may be in a Read.
func (c *Conn) trim(most int) {
	if !rawInput.known || !hand.known || !input.known {
		return
	}
	if b := hand.of(c.tls); b.Len() == 0 {
		*b = bytes.Buffer{}
	}
	data := input.of(c.tls) // lies in the buffer of records
	if b := rawInput.of(c.tls); b.Len() == 0 && b.Cap() > most && data.Len() == 0 {
		*b, *data = bytes.Buffer{}, bytes.Reader{}
	}
}
