package observe_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicegateway/sluice/observe"
)

func sample() *observe.Request {
	return &observe.Request{
		Start:    time.Date(2026, 3, 1, 12, 4, 5, 678_000_000, time.UTC),
		Duration: 1500 * time.Microsecond, UpstreamDuration: 1200 * time.Microsecond,
		Listener: "default/gw/http", Route: "httproute/default/shop", Rule: 2, RuleName: "cart",
		Backend: "service/default/web:80", Endpoint: "10.0.0.1:8080",
		Method: "GET", Scheme: "http", Host: "shop.example", Path: "/cart", Protocol: "HTTP/1.1",
		Status: 200, RequestBytes: 3, ResponseBytes: 12,
		Client: netip.MustParseAddrPort("192.0.2.1:40000"), RequestID: "abc", Attempts: 1,
	}
}

// written is what a log of the format writes for the requests.
func written(t *testing.T, format observe.Format, requests ...*observe.Request) string {
	t.Helper()
	var out bytes.Buffer
	l := observe.NewAccessLog(&out, format, 1)
	for _, r := range requests {
		l.Log(0, r)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestJSONRecord(t *testing.T) {
	want := map[string]any{
		"time": "2026-03-01T12:04:05.678Z", "duration_ms": 1.5, "upstream_ms": 1.2,
		"listener": "default/gw/http", "route": "httproute/default/shop", "rule": 2.0, "rule_name": "cart",
		"backend": "service/default/web:80", "endpoint": "10.0.0.1:8080",
		"method": "GET", "scheme": "http", "host": "shop.example", "path": "/cart", "protocol": "HTTP/1.1",
		"status": 200.0, "request_bytes": 3.0, "response_bytes": 12.0,
		"client": "192.0.2.1:40000", "request_id": "abc", "attempts": 1.0,
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(written(t, observe.JSON, sample())), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestJSONRecordOfFailures(t *testing.T) {
	line := written(t, observe.JSON,
		&observe.Request{Status: 404, Method: "GET"},
		&observe.Request{Status: 101, Upgrade: true, Failure: "client_reset", Cause: "it went"})
	for _, want := range []string{`"status":404`, `"upgrade":true`, `"failure":"client_reset","cause":"it went"`} {
		if !strings.Contains(line, want) {
			t.Errorf("no %s in %s", want, line)
		}
	}
	for _, not := range []string{`"route"`, `"rule"`, `"client"`, `"attempts"`} {
		if strings.Contains(line, not) {
			t.Errorf("%s in %s", not, line)
		}
	}
}

func TestJSONRecordOfCalls(t *testing.T) {
	call := sample()
	call.Call = true
	if got := written(t, observe.JSON, call); !strings.Contains(got, `"status":200,"grpc_status":0,`) {
		t.Errorf("got %s", got)
	}
}

func TestTextRecord(t *testing.T) {
	failed := sample()
	failed.Route, failed.Backend, failed.Endpoint, failed.Attempts = "", "", "", 3
	failed.Failure, failed.Cause, failed.Upgrade = "client_reset", "it went", true
	failed.Call, failed.GRPCStatus = true, 14
	got := written(t, observe.Text, sample(), failed)
	want := "12:04:05.678 200 GET shop.example/cart 1.5ms httproute/default/shop[2] > service/default/web:80 10.0.0.1:8080\n" +
		"12:04:05.678 200 GET shop.example/cart 1.5ms no route attempts=3 grpc=14 upgrade failure=client_reset cause=\"it went\"\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

var hostile = []string{
	"a\"b\\c", "\x1b]0;owned\x07", "line\nbreak\r", "\x00\x7f", "\u009b31m", "right\u202eleft",
	"\xff\xfe", "日本", "\U000e0041 tag", "\U0001f600", strings.Repeat("\x1b", 5000), strings.Repeat("é", 3000),
}

func TestHostileBytesInJSON(t *testing.T) {
	for _, s := range hostile {
		checkJSON(t, s)
	}
}

func FuzzJSONValue(f *testing.F) {
	for _, s := range hostile {
		f.Add(s)
	}
	f.Fuzz(checkJSON)
}

// checkJSON holds RFC 8259 against a path of any bytes, and that the line does
// nothing to a terminal.
func checkJSON(t *testing.T, s string) {
	r := sample()
	r.Path = s
	line := written(t, observe.JSON, r)
	var got struct{ Path string }
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatalf("%q: %v: %s", s, err, line)
	}
	if want := strings.ToValidUTF8(s, "\ufffd"); len(s) <= 4096 && utf8.ValidString(s) && got.Path != want {
		t.Errorf("%q came back as %q", s, got.Path)
	}
	checkPrintable(t, line)
}

func TestHostileBytesInText(t *testing.T) {
	for _, s := range hostile {
		r := sample()
		r.Method, r.Host, r.Path, r.Route, r.Failure = s, s, s, s, s
		checkPrintable(t, written(t, observe.Text, r))
	}
}

func checkPrintable(t *testing.T, line string) {
	t.Helper()
	line, ended := strings.CutSuffix(line, "\n")
	if !ended {
		t.Errorf("no end of line: %q", line)
	}
	for _, r := range line {
		if !unicode.IsPrint(r) {
			t.Fatalf("%q does not print: %q", r, line)
		}
	}
}

func TestRecordsAreBounded(t *testing.T) {
	r := sample()
	r.Path = strings.Repeat("\x00", 1<<20)
	if n := len(written(t, observe.JSON, r)); n > 32<<10 {
		t.Errorf("a record of %d bytes", n)
	}
}

func TestRecordsAreWrittenSoon(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		l := observe.NewAccessLog(&out, observe.Text, 2)
		l.Log(0, sample())
		l.Log(1, sample())
		time.Sleep(time.Second)
		synctest.Wait()
		if got := strings.Count(out.String(), "\n"); got != 2 {
			t.Errorf("%d records after a second, want 2", got)
		}
		l.Log(1, sample())
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Count(out.String(), "\n"); got != 3 {
			t.Errorf("%d records at the end, want 3", got)
		}
	})
}

func TestSlowWriterLosesRecordsAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe()
		l := observe.NewAccessLog(w, observe.JSON, 1)
		const n = 10_000
		for range n {
			l.Log(0, sample())
		}
		lines := make(chan int)
		go func() {
			b, _ := io.ReadAll(r)
			lines <- bytes.Count(b, []byte("\n"))
		}()
		if l.Dropped() == 0 {
			t.Error("nothing was dropped")
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		w.Close()
		if got := <-lines; uint64(got)+l.Dropped() != n {
			t.Errorf("%d written and %d dropped, want %d together", got, l.Dropped(), n)
		}
	})
}

func TestCloseDoesNotWaitForAStuckWriter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, w := io.Pipe() // nobody reads
		log := observe.NewAccessLog(w, observe.JSON, 1)
		log.Log(0, sample())
		if err := log.Close(); err == nil {
			t.Error("Close: no error, though the record is not written")
		}
		r.Close()
	})
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no space left") }

func TestFailedWritesCountAsDropped(t *testing.T) {
	l := observe.NewAccessLog(brokenWriter{}, observe.JSON, 1)
	l.Log(0, sample())
	l.Log(0, sample())
	if err := l.Close(); err == nil {
		t.Error("Close hides the error")
	}
	if got := l.Dropped(); got != 2 {
		t.Errorf("%d dropped, want 2", got)
	}
}

func TestNoLog(t *testing.T) {
	var l *observe.AccessLog
	l.Log(0, sample())
	if l.Dropped() != 0 || l.Close() != nil {
		t.Error("a nil log does something")
	}
}

func TestLogDoesNotAllocate(t *testing.T) {
	l := observe.NewAccessLog(io.Discard, observe.JSON, 1)
	defer l.Close()
	r := sample()
	for range 10_000 { // the buffers grow to what they need
		l.Log(0, r)
	}
	if n := testing.AllocsPerRun(100, func() { l.Log(0, r) }); n > 0 {
		t.Errorf("%v allocations for a record", n)
	}
}
