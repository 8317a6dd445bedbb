package http3

import (
	"context"
	"sync"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/quicvarint"
)

// Types of streams of one direction (RFC 9114 section 6.2, RFC 9204 section 4.2).
const (
	streamControl = 0x0
	streamPush    = 0x1
	streamEncoder = 0x2
	streamDecoder = 0x3
)

// Settings (RFC 9114 section 7.2.4.1, RFC 9220 section 5).
const (
	settingMaxFieldSection = 0x6
	settingExtendedConnect = 0x8
)

// reserved are settings of HTTP/2 that HTTP/3 has not.
var reserved = map[uint64]bool{0x2: true, 0x3: true, 0x4: true, 0x5: true}

// What a client's control stream may say: its settings are few, and all other
// frames are short.
const (
	maxSettings = 4 << 10
	maxControl  = 1 << 10
)

// lastStream is more than any request has.
const lastStream = 1<<62 - 4

var (
	errNoSettings   = &Error{Code: MissingSettings, Reason: "a control stream does not begin with SETTINGS (RFC 9114 section 6.2.1)"}
	errSettings     = &Error{Code: SettingsError, Reason: "SETTINGS holds one that HTTP/3 has not, or one twice (RFC 9114 section 7.2.4)"}
	errCritical     = &Error{Code: ClosedCritical, Reason: "a stream ended that the connection needs (RFC 9114 section 6.2.1)"}
	errSecondStream = &Error{Code: StreamCreationError, Reason: "there is more than one stream of a type that stands once, or one for pushes (RFC 9114 section 6.2)"}
	errLongControl  = &Error{Code: ExcessiveLoad, Reason: "a frame of a control stream is far longer than any needs to be"}
)

// greet sends our SETTINGS.
func (s *Session) greet() {
	control, err := s.conn.OpenUniStream()
	if err != nil { // the client leaves no room for what each needs, or is gone
		s.wrong(errCritical)
		return
	}
	s.control = control
	var settings []byte
	for _, v := range [][2]uint64{{settingMaxFieldSection, uint64(s.limits.Head.Bytes)}, {settingExtendedConnect, 1}} {
		settings = quicvarint.Append(quicvarint.Append(settings, v[0]), v[1])
	}
	hello := quicvarint.Append(nil, streamControl)
	s.tell(append(appendHeader(hello, frameSettings, len(settings)), settings...))
}

// goAway tells which request will not be taken, nor any behind it.
func (s *Session) goAway(id uint64) {
	payload := quicvarint.Append(nil, id)
	s.tell(append(appendHeader(nil, frameGoAway, len(payload)), payload...))
}

// tell sends a frame of ours. A client that leaves no room for it can do without.
func (s *Session) tell(frame []byte) {
	if s.control != nil {
		_ = s.control.TryWriteAll(frame)
	}
}

// controls are the streams of a client that carry no request.
type controls struct {
	mu   sync.Mutex
	seen map[uint64]bool
}

// first reports whether no stream of the type has come before.
func (c *controls) first(kind uint64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen == nil {
		c.seen = make(map[uint64]bool)
	}
	before := c.seen[kind]
	c.seen[kind] = true
	return !before
}

func (s *Session) acceptControls() {
	for {
		raw, err := s.conn.AcceptUniStream(context.Background())
		if err != nil { // the connection has ended
			return
		}
		go func() {
			defer raw.ReleaseStreamCredit()
			if wrong := s.readControl(raw); wrong != nil {
				s.wrong(wrong)
			}
		}()
	}
}

// readControl reads a stream to its end, or leaves it. The error, if any, is that
// of the connection.
func (s *Session) readControl(raw *quic.ReceiveStream) *Error {
	kind, err := quicvarint.Read(quicvarint.NewReader(raw))
	if err != nil { // whoever ends it before it has a type has said nothing
		s.rude(rudeStream)
		return nil
	}
	switch kind {
	case streamControl, streamEncoder, streamDecoder:
		if !s.inputs.first(kind) {
			return errSecondStream
		}
	case streamPush:
		return errSecondStream
	default:
		s.rude(rudeStream)
		raw.CancelRead(quic.StreamErrorCode(StreamCreationError))
		return nil
	}
	if kind == streamControl {
		err = s.readSettings(raw)
	} else {
		err = s.readTable(raw)
	}
	if wrong, ok := err.(*Error); ok {
		return wrong
	}
	return errCritical // where the connection has ended, nobody is told
}

// readSettings reads the control stream. Of what it says nothing is of use here:
// there are no pushes, and no priorities.
func (s *Session) readSettings(raw *quic.ReceiveStream) error {
	f := &frames{raw: raw, odd: func() { s.rude(rudeFrame) }}
	for first := true; ; first = false {
		if err := f.next(func(uint64) bool { return true }); err != nil {
			return err
		}
		limit := uint64(maxControl)
		switch {
		case first && f.kind != frameSettings:
			return errNoSettings
		case first:
			limit = maxSettings
		case f.kind == frameData, f.kind == frameHeaders, f.kind == frameSettings, f.kind == 0x2, f.kind == 0x5, f.kind == 0x6, f.kind == 0x8, f.kind == 0x9:
			return errMisplaced
		default:
			s.rude(rudeFrame)
		}
		if f.left > limit {
			return errLongControl
		}
		payload, err := f.payload()
		if err != nil {
			return err
		}
		if first && !validSettings(payload) {
			return errSettings
		}
	}
}

func validSettings(payload []byte) bool {
	seen := make(map[uint64]bool)
	for len(payload) > 0 {
		id, n, err := quicvarint.Parse(payload)
		if err != nil {
			return false
		}
		_, m, err := quicvarint.Parse(payload[n:])
		if err != nil || seen[id] || reserved[id] {
			return false
		}
		seen[id] = true
		payload = payload[n+m:]
	}
	return true
}

// readTable reads a stream of QPACK. There is nothing in it for tables that have
// no room, and a block that refers to one is refused.
func (s *Session) readTable(raw *quic.ReceiveStream) error {
	var b [64]byte
	for {
		if _, err := raw.Read(b[:]); err != nil {
			return err
		}
		s.rude(rudeFrame)
	}
}
