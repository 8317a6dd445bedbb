package http1_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/sluicegateway/sluice/proxy/http1"
)

// How the decoding of a body ends.
const (
	done = "done"
	more = "needs more"
	bad  = "refused"
)

// bodyCase is a chunked body and what is decoded of it: the data, and behind
// "|" each trailer field. Nothing is compared where the body is refused.
type bodyCase struct {
	name, raw, want string
	end             string
}

func testBodies(t *testing.T, cases []bodyCase) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Helper()
			step := max(1, len(c.raw)/500)
			for cut := 0; cut <= len(c.raw); cut += step {
				checkBody(t, c, c.raw[:cut], c.raw[cut:])
			}
			checkBody(t, c, strings.Split(c.raw, "")...)
		})
	}
}

func checkBody(t *testing.T, c bodyCase, pieces ...string) {
	t.Helper()
	d := new(http1.ChunkDecoder)
	got, left, err := decode(d, pieces...)
	end := more
	switch {
	case err != nil:
		end = bad
		var e *http1.Error
		if !errors.As(err, &e) || e.Status != 400 && e.Status != 431 {
			t.Errorf("error %v, want an Error of status 400 or 431", err)
		}
	case d.Done():
		end = done
	}
	if end != c.end {
		t.Fatalf("%.100q in pieces: %s (%v), want %s", c.raw, end, err, c.end)
	}
	if end == bad {
		return
	}
	for _, f := range d.Trailer().Fields {
		got += "|" + f.Name + ": " + f.Value
	}
	if want, rest, _ := strings.Cut(c.want, "^"); got != want || left != rest {
		t.Fatalf("%.100q in pieces: got %q and left %q, want %q", c.raw, got, left, c.want)
	}
}

// decode feeds pieces and returns the data and what was left of them.
func decode(d *http1.ChunkDecoder, pieces ...string) (data, left string, err error) {
	for _, piece := range pieces {
		buf := []byte(piece)
		for len(buf) > 0 && !d.Done() {
			part, n, err := d.Decode(buf)
			if err != nil {
				return data, "", err
			}
			data += string(part)
			buf = buf[n:]
		}
		left += string(buf)
	}
	return data, left, nil
}

func TestRFC9112_7_1_Chunks(t *testing.T) {
	zeros := strings.Repeat("0", 15)
	testBodies(t, []bodyCase{
		{"empty body", "0\r\n\r\n", "", done},
		{"several", "1\r\na\r\n2\r\nbc\r\n0\r\n\r\n", "abc", done},
		{"data that looks like framing", "7\r\n0\r\n\r\n0\r\r\n0\r\n\r\n", "0\r\n\r\n0\r", done},
		{"any case", "a\r\n0123456789\r\n0A\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789", done},
		{"sixteen digits", zeros + "1\r\na\r\n" + zeros + "0\r\n\r\n", "a", done},
		{"what follows is left", "1\r\na\r\n0\r\n\r\nGET /", "a^GET /", done},
		{"nothing", "", "", more},
		{"cut in the size", "1", "", more},
		{"cut in the data", "3\r\nab", "ab", more},
		{"cut behind the last chunk", "0\r\n", "", more},
		{"cut in the last line", "0\r\n\r", "", more},
		{"largest size", "7fffffffffffffff\r\na", "a", more},

		{"no size", "\r\n\r\n", "", bad},
		{"seventeen digits", "0" + zeros + "1\r\na\r\n0\r\n\r\n", "", bad},
		{"size beyond 63 bits", "8000000000000000\r\na", "", bad},
		{"no hexadecimal digit", "g\r\n", "", bad},
		{"high digit", "\xef\xbc\x91\r\na\r\n", "", bad},
		{"NUL in the size", "1\x00\r\na\r\n", "", bad},
		{"CR and no LF", "1\ra", "", bad},
		{"data too short", "2\r\na\r\n0\r\n\r\n", "", bad},
		{"data too long", "1\r\nab\r\n0\r\n\r\n", "", bad},
		{"LF behind the data", "1\r\na\n0\r\n\r\n", "", bad},
		{"CR behind the data", "1\r\na\r0\r\n\r\n", "", bad},
	})
}

func TestRFC9112_7_1_1_Extensions(t *testing.T) {
	with := func(ext string) string { return "1" + ext + "\r\na\r\n0" + ext + "\r\n\r\n" }
	var cases []bodyCase
	for _, ext := range []string{";a", ";a=b", ";a;b=c;d", `;a="b"`, `;a="b;c=\"\\ ` + "\t\xe9" + `"`, `;a=""`, `;a="";b`, " ; a = b\t;\tc", " ;a ;b"} {
		cases = append(cases, bodyCase{ext, with(ext), "a", done})
	}
	for _, ext := range []string{";", ";;a", ";=b", ";a=", ";a=;b", `;a="b`, `;a="b"c`, `;a=b"c"`, ";a b", ";a=b c", " ", "\t", ";a ", ";a= ", ";a=b ",
		";a\x00", ";a=\x7f", ";a=\"\x01\"", ";a=\"\\\x01\"", ";a=\xe9", ";a\r;b", `;a="b` + "\r\n" + `"`} {
		cases = append(cases, bodyCase{ext, with(ext), "", bad})
	}
	half := strings.Repeat("x", 2000)
	cases = append(cases,
		bodyCase{"most extensions", "1;" + half + "\r\na\r\n1;" + half + "\r\nb\r\n0\r\n\r\n", "ab", done},
		bodyCase{"too many in one body", "1;" + half + "\r\na\r\n1;" + half + "\r\nb\r\n1;" + half + "\r\nc\r\n0\r\n\r\n", "", bad})
	testBodies(t, cases)
}

func TestChunkOverhead(t *testing.T) {
	body := func(size string, n int) string { return strings.Repeat(size+"\r\na\r\n", n) + "0\r\n\r\n" }
	for _, c := range []struct {
		name, raw string
		ok        bool
	}{
		{"chunks of one byte", body("1", 10_000), true},
		{"chunks of one byte with padded sizes", body("0000000000000001", 10_000), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if _, _, err := decode(new(http1.ChunkDecoder), c.raw); (err == nil) != c.ok {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestRFC9112_7_1_2_Trailer(t *testing.T) {
	with := func(lines ...string) string { return "1\r\na\r\n0\r\n" + head(lines...) }
	cases := []bodyCase{
		{"fields", with("X-Sum: 1", "Grpc-Status:0", "X-Sum: 2"), "a|X-Sum: 1|Grpc-Status: 0|X-Sum: 2", done},
		{"what follows is left", with("X: 1") + "GET /", "a|X: 1^GET /", done},
		{"dropped among others", with("X: 1", "Content-Length: 5", "Y: 2"), "a|X: 1|Y: 2", done},
		{"underscore", with("X_Y: 1"), "a", done},
		{"not complete", "0\r\nX: 1\r\n", "", more},
		{"folded", with("X: 1", " 2"), "", bad},
		{"bare LF", "0\r\nX: 1\n\r\n", "", bad},
		{"bare LF at the end", "0\r\nX: 1\r\n\n", "", bad},
		{"no colon", with("X"), "", bad},
		{"space before the colon", with("X : 1"), "", bad},
		{"control byte", with("X: \x01"), "", bad},
		{"too many", "0\r\n" + strings.Repeat("X: 1\r\n", 101) + "\r\n", "", bad},
		{"too large", with("X: " + strings.Repeat("a", 16<<10)), "", bad},
		{"without end", "0\r\nX: " + strings.Repeat("a", 17<<10), "", bad},
	}
	for _, name := range []string{"Connection", "Host", "TE", "Trailer", "Transfer-Encoding", "Content-Encoding", "Content-Range", "Cookie",
		"Set-Cookie", "Authorization", "Proxy-Authorization", "Cache-Control", "If-Match", "Range", "Forwarded", "X-Forwarded-For", "Upgrade"} {
		cases = append(cases, bodyCase{name + " is dropped", with(name + ": a"), "a", done})
	}
	testBodies(t, cases)
}

func TestChunkDecoderReset(t *testing.T) {
	var d http1.ChunkDecoder
	for _, raw := range []string{"1\r\na\r\n0\r\nX: 1\r\n\r\n", "1\r\nb\r\n0\r\nY: 2\r\n\r\n", "0\r\n\r\n"} {
		data, _, err := decode(&d, raw)
		if err != nil || !d.Done() {
			t.Fatalf("%q: %q, %v", raw, data, err)
		}
		if len(d.Trailer().Fields) != strings.Count(raw, ":") {
			t.Errorf("%q: trailer %v", raw, d.Trailer())
		}
		d.Reset()
	}
	if _, _, err := decode(&d, "x"); err == nil {
		t.Fatal("no error for a bad size")
	}
	d.Reset()
	if data, _, err := decode(&d, "1\r\na\r\n0\r\n\r\n"); data != "a" || err != nil {
		t.Errorf("after an error and Reset: %q, %v", data, err)
	}
}
