package http2_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicegateway/sluice/proxy/http2"
)

const maxFrame = http2.MinMaxFrameSize

func frame(kind http2.FrameType, flags http2.Flags, stream uint32, payload string) []byte {
	return append(http2.AppendFrameHeader(nil, len(payload), kind, flags, stream), payload...)
}

func TestRFC9113_6_FrameSizesAndStreams(t *testing.T) {
	const ok = http2.NoError
	zeros := func(n int) string { return strings.Repeat("\x00", n) }
	for _, c := range []struct {
		name   string
		kind   http2.FrameType
		flags  http2.Flags
		stream uint32
		size   int
		want   http2.ErrCode
	}{
		{"DATA", http2.FrameData, 0, 1, 3, ok},
		{"DATA, largest", http2.FrameData, 0, 1, maxFrame, ok},
		{"DATA, too large", http2.FrameData, 0, 1, maxFrame + 1, http2.FrameSizeError},
		{"DATA on stream 0", http2.FrameData, 0, 0, 3, http2.ProtocolError},
		{"HEADERS", http2.FrameHeaders, 0, 1, 0, ok},
		{"HEADERS on stream 0", http2.FrameHeaders, 0, 0, 0, http2.ProtocolError},
		{"HEADERS too short for its priority", http2.FrameHeaders, http2.FlagPriority, 1, 4, http2.FrameSizeError},
		{"PRIORITY on stream 0", http2.FramePriority, 0, 0, 5, http2.ProtocolError},
		{"RST_STREAM", http2.FrameReset, 0, 1, 4, ok},
		{"RST_STREAM, short", http2.FrameReset, 0, 1, 3, http2.FrameSizeError},
		{"RST_STREAM, long", http2.FrameReset, 0, 1, 5, http2.FrameSizeError},
		{"RST_STREAM on stream 0", http2.FrameReset, 0, 0, 4, http2.ProtocolError},
		{"SETTINGS", http2.FrameSettings, 0, 0, 12, ok},
		{"SETTINGS, not whole", http2.FrameSettings, 0, 0, 7, http2.FrameSizeError},
		{"SETTINGS on a stream", http2.FrameSettings, 0, 1, 6, http2.ProtocolError},
		{"SETTINGS acknowledged", http2.FrameSettings, http2.FlagAck, 0, 0, ok},
		{"SETTINGS acknowledged with a payload", http2.FrameSettings, http2.FlagAck, 0, 6, http2.FrameSizeError},
		{"PUSH_PROMISE", http2.FramePushPromise, http2.FlagEndHeaders, 1, 4, http2.ProtocolError},
		{"PING", http2.FramePing, 0, 0, 8, ok},
		{"PING, short", http2.FramePing, 0, 0, 6, http2.FrameSizeError},
		{"PING on a stream", http2.FramePing, 0, 1, 8, http2.ProtocolError},
		{"GOAWAY", http2.FrameGoAway, 0, 0, 20, ok},
		{"GOAWAY, short", http2.FrameGoAway, 0, 0, 7, http2.FrameSizeError},
		{"GOAWAY on a stream", http2.FrameGoAway, 0, 1, 8, http2.ProtocolError},
		{"WINDOW_UPDATE", http2.FrameWindowUpdate, 0, 0, 4, ok},
		{"WINDOW_UPDATE of a stream", http2.FrameWindowUpdate, 0, 1, 4, ok},
		{"WINDOW_UPDATE, short", http2.FrameWindowUpdate, 0, 1, 3, http2.FrameSizeError},
		{"CONTINUATION", http2.FrameContinuation, 0, 1, 3, ok},
		{"CONTINUATION on stream 0", http2.FrameContinuation, 0, 0, 3, http2.ProtocolError},
		{"unknown", 0x16, 0xFF, 0, 3, ok},
		{"unknown on a stream", 0x16, 0xFF, 9, 0, ok},
		{"unknown, too large", 0x16, 0, 9, maxFrame + 1, http2.FrameSizeError},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := frame(c.kind, c.flags, c.stream, zeros(c.size))
			_, early, err := http2.ParseFrame(raw[:http2.FrameHeaderLen], maxFrame)
			if c.want != ok {
				if e := asError(t, err); e.Code != c.want || e.Stream != 0 {
					t.Errorf("from the header: %v, want %v of the connection", err, c.want)
				}
				return
			}
			if early != 0 && c.size > 0 || err != nil {
				t.Errorf("from the header: %d, %v", early, err)
			}
			f, n, err := http2.ParseFrame(append(raw, "next"...), maxFrame)
			want := http2.Frame{Type: c.kind, Flags: c.flags, Stream: c.stream, Payload: []byte(zeros(c.size))}
			if n != len(raw) || err != nil || !cmp.Equal(f, want) {
				t.Errorf("got %+v, %d, %v", f, n, err)
			}
		})
	}
}

func TestRFC9113_4_1_FramesByteByByte(t *testing.T) {
	raw := frame(http2.FrameData, 0, 1, "hello")
	raw[5] |= 0x80 // reserved, ignored
	for end := range raw {
		if _, n, err := http2.ParseFrame(raw[:end], maxFrame); n != 0 || err != nil {
			t.Fatalf("%d bytes: %d, %v", end, n, err)
		}
	}
	f, n, err := http2.ParseFrame(raw, maxFrame)
	if n != len(raw) || err != nil || f.Stream != 1 || string(f.Payload) != "hello" || cap(f.Payload) != 5 {
		t.Errorf("got %+v, %d, %v", f, n, err)
	}
}

func TestRFC9113_6_1_Padding(t *testing.T) {
	for _, c := range []struct {
		name, payload, want string
		padding             int
		code                http2.ErrCode
	}{
		{"none", "\x00abc", "abc", 1, 0},
		{"some", "\x02abc\x00\x00", "abc", 3, 0},
		{"only padding", "\x02\x00\x00", "", 3, 0},
		{"one too long", "\x03\x00\x00", "", 0, http2.ProtocolError},
		{"far too long", "\xFFabc", "", 0, http2.ProtocolError},
		{"no length", "", "", 0, http2.FrameSizeError},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := http2.Frame{Type: http2.FrameData, Flags: http2.FlagPadded, Stream: 1, Payload: []byte(c.payload)}
			data, padding, err := f.Data()
			h := http2.Frame{Type: http2.FrameHeaders, Flags: http2.FlagPadded, Stream: 1, Payload: []byte(c.payload)}
			fragment, headersErr := h.HeaderFragment()
			if c.code != 0 {
				for _, err := range []error{err, headersErr} {
					if e := asError(t, err); e.Code != c.code || e.Stream != 0 {
						t.Errorf("error %v, want %v of the connection", err, c.code)
					}
				}
				return
			}
			if string(data) != c.want || padding != c.padding || err != nil {
				t.Errorf("data %q, %d, %v", data, padding, err)
			}
			if string(fragment) != c.want || headersErr != nil {
				t.Errorf("fragment %q, %v", fragment, headersErr)
			}
		})
	}
}

func TestRFC9113_6_2_HeadersWithPriority(t *testing.T) {
	const priority, padded = http2.FlagPriority, http2.FlagPadded
	for _, c := range []struct {
		name, payload, want string
		flags               http2.Flags
		stream              uint32 // of the error
		code                http2.ErrCode
	}{
		{"priority", "\x80\x00\x00\x03\x10abc", "abc", priority, 0, 0},
		{"padding and priority", "\x01\x00\x00\x00\x03\x10abc\x00", "abc", priority | padded, 0, 0},
		{"on itself", "\x80\x00\x00\x05\x10abc", "abc", priority, stream, http2.ProtocolError},
		{"padding leaves no priority", "\x02\x00\x00\x00\x03\x10\x00", "", priority | padded, 0, http2.FrameSizeError},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := http2.Frame{Type: http2.FrameHeaders, Flags: c.flags, Stream: stream, Payload: []byte(c.payload)}
			fragment, err := f.HeaderFragment()
			if string(fragment) != c.want || (err == nil) != (c.code == 0) {
				t.Errorf("got %q, %v", fragment, err)
			}
			if err != nil {
				if e := asError(t, err); e.Code != c.code || e.Stream != c.stream {
					t.Errorf("error %+v", e)
				}
			}
		})
	}
}

func TestRFC9113_6_3_Priority(t *testing.T) {
	f, n, err := http2.ParseFrame(frame(http2.FramePriority, 0, stream, "1234"), maxFrame)
	if e := asError(t, err); e.Code != http2.FrameSizeError || e.Stream != stream || n != http2.FrameHeaderLen+4 {
		t.Errorf("%+v, %d, %v: a wrong size is an error of the stream, and the frame can be skipped", f, n, err)
	}
	for payload, wrong := range map[string]bool{"\x00\x00\x00\x05\x10": true, "\x80\x00\x00\x05\x10": true, "\x00\x00\x00\x07\x10": false} {
		f, _, err := http2.ParseFrame(frame(http2.FramePriority, 0, stream, payload), maxFrame)
		if err != nil {
			t.Fatal(err)
		}
		if err = f.CheckPriority(); (err != nil) != wrong {
			t.Errorf("%q: %v", payload, err)
		}
		if wrong {
			if e := asError(t, err); e.Code != http2.ProtocolError || e.Stream != stream {
				t.Errorf("%q: %+v", payload, e)
			}
		}
	}
}

func TestRFC9113_6_5_2_Settings(t *testing.T) {
	type settings []http2.Setting
	for _, c := range []struct {
		name       string
		settings   settings
		fromServer bool
		want       http2.ErrCode
	}{
		{"none", nil, false, 0},
		{"usual", settings{{http2.SettingHeaderTableSize, 1 << 31}, {http2.SettingMaxConcurrentStreams, 0}, {http2.SettingMaxHeaderListSize, 0}, {http2.SettingEnablePush, 1}}, false, 0},
		{"unknown", settings{{0x77, 1 << 31}, {0, 7}}, false, 0},
		{"push is neither 0 nor 1", settings{{http2.SettingEnablePush, 2}}, false, http2.ProtocolError},
		{"push of a server", settings{{http2.SettingEnablePush, 1}}, true, http2.ProtocolError},
		{"no push of a server", settings{{http2.SettingEnablePush, 0}}, true, 0},
		{"largest window", settings{{http2.SettingInitialWindowSize, 1<<31 - 1}}, false, 0},
		{"too large a window", settings{{http2.SettingInitialWindowSize, 1 << 31}}, false, http2.FlowControlError},
		{"smallest frame", settings{{http2.SettingMaxFrameSize, 1 << 14}}, false, 0},
		{"too small a frame", settings{{http2.SettingMaxFrameSize, 1<<14 - 1}}, false, http2.ProtocolError},
		{"largest frame", settings{{http2.SettingMaxFrameSize, 1<<24 - 1}}, false, 0},
		{"too large a frame", settings{{http2.SettingMaxFrameSize, 1 << 24}}, false, http2.ProtocolError},
		{"extended CONNECT", settings{{http2.SettingEnableConnectProtocol, 1}}, true, 0},
		{"extended CONNECT is neither 0 nor 1", settings{{http2.SettingEnableConnectProtocol, 2}}, true, http2.ProtocolError},
		{"priorities are neither 0 nor 1", settings{{http2.SettingNoRFC7540Priorities, 2}}, false, http2.ProtocolError},
		{"a later one is wrong", settings{{http2.SettingEnablePush, 0}, {http2.SettingEnablePush, 3}}, false, http2.ProtocolError},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, _, err := http2.ParseFrame(http2.AppendSettings(nil, c.settings...), maxFrame)
			if err != nil {
				t.Fatal(err)
			}
			if err := f.CheckSettings(c.fromServer); c.want == 0 && err != nil {
				t.Error(err)
			} else if c.want != 0 {
				if e := asError(t, err); e.Code != c.want || e.Stream != 0 {
					t.Errorf("error %+v, want %v", e, c.want)
				}
			}
		})
	}
}

func TestRFC9113_6_5_3_SettingsComeInOrder(t *testing.T) {
	want := []http2.Setting{{http2.SettingInitialWindowSize, 100}, {0x99, 7}, {http2.SettingInitialWindowSize, 1}}
	f, _, err := http2.ParseFrame(http2.AppendSettings(nil, want...), maxFrame)
	if err != nil {
		t.Fatal(err)
	}
	var got []http2.Setting
	for id, value := range f.Settings() {
		got = append(got, http2.Setting{ID: id, Value: value})
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

func TestRFC9113_6_9_WindowUpdate(t *testing.T) {
	for _, c := range []struct {
		stream, increment, wantStream uint32
		ok                            bool
	}{{0, 1, 0, true}, {1, http2.MaxWindow, 0, true}, {0, 0, 0, false}, {stream, 0, stream, false}, {stream, 1 << 31, stream, false}} {
		f, _, err := http2.ParseFrame(http2.AppendWindowUpdate(nil, c.stream, c.increment), maxFrame)
		if err != nil {
			t.Fatal(err)
		}
		n, err := f.WindowIncrement()
		if c.ok && (n != c.increment || err != nil) {
			t.Errorf("%+v: %d, %v", c, n, err)
		}
		if !c.ok {
			if e := asError(t, err); e.Code != http2.ProtocolError || e.Stream != c.wantStream {
				t.Errorf("%+v: %+v", c, e)
			}
		}
	}
}

func TestAppendedFramesParse(t *testing.T) {
	one := func(raw []byte) http2.Frame {
		f, n, err := http2.ParseFrame(raw, maxFrame)
		if n != len(raw) || err != nil {
			t.Fatalf("%x: %+v, %d, %v", raw, f, n, err)
		}
		return f
	}
	if f := one(http2.AppendData(nil, 3, []byte("abc"), true)); string(f.Payload) != "abc" || !f.Flags.Has(http2.FlagEndStream) || f.Stream != 3 {
		t.Errorf("DATA %+v", f)
	}
	if f := one(http2.AppendData(nil, 3, nil, false)); f.Flags != 0 {
		t.Errorf("DATA %+v", f)
	}
	if f := one(http2.AppendSettingsAck(nil)); f.Type != http2.FrameSettings || !f.Flags.Has(http2.FlagAck) {
		t.Errorf("SETTINGS %+v", f)
	}
	data := [8]byte{1, 2, 3, 4, 5, 6, 7, 8}
	if f := one(http2.AppendPing(nil, true, data)); f.PingData() != data || !f.Flags.Has(http2.FlagAck) {
		t.Errorf("PING %+v", f)
	}
	if f := one(http2.AppendPing(nil, false, data)); f.Flags != 0 {
		t.Errorf("PING %+v", f)
	}
	if f := one(http2.AppendGoAway(nil, http2.MaxStream, http2.EnhanceYourCalm, "slow down")); f.LastStream() != http2.MaxStream ||
		f.ErrCode() != http2.EnhanceYourCalm || string(f.Payload[8:]) != "slow down" {
		t.Errorf("GOAWAY %+v", f)
	}
	if f := one(http2.AppendReset(nil, 7, http2.RefusedStream)); f.Stream != 7 || f.ErrCode() != http2.RefusedStream {
		t.Errorf("RST_STREAM %+v", f)
	}
}

// FuzzParseFrame parses whatever comes, and asks each frame all it may be asked.
func FuzzParseFrame(f *testing.F) {
	f.Add(frame(http2.FrameData, http2.FlagPadded, 1, "\x01abc\x00"))
	f.Add(frame(http2.FrameHeaders, http2.FlagPadded|http2.FlagPriority, 5, "\x01\x00\x00\x00\x05\x10abc\x00"))
	f.Add(http2.AppendSettings(nil, http2.Setting{ID: http2.SettingMaxFrameSize, Value: 1}))
	f.Add(http2.AppendGoAway(http2.AppendPing(nil, false, [8]byte{1}), 3, http2.Cancel, "a"))
	f.Add(http2.AppendWindowUpdate(http2.AppendReset(nil, 1, 2), 0, 0))
	f.Add(frame(http2.FramePriority, 0, 5, "\x00\x00\x00\x05"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		for {
			fr, n, err := http2.ParseFrame(raw, maxFrame)
			if err != nil {
				if e := asError(t, err); e.Stream == 0 != (n == 0) {
					t.Errorf("%+v with %d", e, n)
				}
			}
			if n == 0 {
				return
			}
			if n != http2.FrameHeaderLen+len(fr.Payload) || n > len(raw) {
				t.Fatalf("%d of %d bytes, payload %d", n, len(raw), len(fr.Payload))
			}
			if err == nil {
				ask(t, &fr)
			}
			raw = raw[n:]
		}
	})
}

func ask(t *testing.T, f *http2.Frame) {
	switch f.Type {
	case http2.FrameData:
		data, padding, err := f.Data()
		if err == nil && len(data)+padding != len(f.Payload) {
			t.Errorf("%d and %d of %d bytes", len(data), padding, len(f.Payload))
		}
	case http2.FrameHeaders, http2.FrameContinuation:
		_, _ = f.HeaderFragment()
	case http2.FramePriority:
		_ = f.CheckPriority()
	case http2.FrameSettings:
		_, _ = f.CheckSettings(true), f.CheckSettings(false)
	case http2.FramePing:
		f.PingData()
	case http2.FrameGoAway:
		f.ErrCode()
		f.LastStream()
	case http2.FrameReset:
		f.ErrCode()
	case http2.FrameWindowUpdate:
		_, _ = f.WindowIncrement()
	}
}
