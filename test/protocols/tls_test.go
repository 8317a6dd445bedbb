package protocols

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var testSSL = flag.Bool("testssl", false, "run testssl.sh too, which takes two minutes")

// sslscanReport is what sslscan writes in XML, as far as it is judged here.
type sslscanReport struct {
	Protocols []struct {
		Type    string `xml:"type,attr"`
		Version string `xml:"version,attr"`
		Enabled int    `xml:"enabled,attr"`
	} `xml:"ssltest>protocol"`
	Renegotiation struct {
		Supported int `xml:"supported,attr"`
	} `xml:"ssltest>renegotiation"`
	Compression struct {
		Supported int `xml:"supported,attr"`
	} `xml:"ssltest>compression"`
	Heartbleed []struct {
		Vulnerable int `xml:"vulnerable,attr"`
	} `xml:"ssltest>heartbleed"`
	Ciphers []struct {
		Version  string `xml:"sslversion,attr"`
		Bits     int    `xml:"bits,attr"`
		Name     string `xml:"cipher,attr"`
		Strength string `xml:"strength,attr"`
	} `xml:"ssltest>cipher"`
	Groups []struct {
		Name string `xml:"name,attr"`
		Bits int    `xml:"bits,attr"`
	} `xml:"ssltest>group"`
}

func TestSSLScan(t *testing.T) {
	install(t, "sslscan")
	g := start(t, webServer(t), "", httpRoute)
	out, err := exec.CommandContext(t.Context(), "sslscan", "--xml=-", "--sni-name="+hostname, fmt.Sprintf("127.0.0.1:%d", g.secure)).Output()
	if err != nil {
		t.Fatal(err)
	}
	var report sslscanReport
	if err := xml.Unmarshal(out, &report); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if len(report.Protocols) == 0 || len(report.Ciphers) == 0 {
		t.Fatalf("nothing was scanned:\n%s", out)
	}
	for _, p := range report.Protocols {
		modern := p.Type == "tls" && (p.Version == "1.2" || p.Version == "1.3")
		if modern != (p.Enabled == 1) {
			t.Errorf("%s %s: enabled %d", p.Type, p.Version, p.Enabled)
		}
	}
	if report.Renegotiation.Supported != 0 || report.Compression.Supported != 0 {
		t.Errorf("renegotiation %d, compression %d", report.Renegotiation.Supported, report.Compression.Supported)
	}
	for _, h := range report.Heartbleed {
		if h.Vulnerable != 0 {
			t.Error("heartbleed")
		}
	}
	for _, c := range report.Ciphers {
		sealed := strings.HasPrefix(c.Name, "TLS_") || strings.HasPrefix(c.Name, "ECDHE-") && (strings.Contains(c.Name, "GCM") || strings.Contains(c.Name, "POLY1305"))
		if c.Bits < 128 || c.Strength != "strong" && c.Strength != "acceptable" || !sealed {
			t.Errorf("cipher %+v", c)
		}
	}
	for _, group := range report.Groups {
		if group.Bits < 128 {
			t.Errorf("group %+v", group)
		}
	}
}

// excused are findings that are of the test's certificate, which signs itself, of
// its address on loopback, of the OpenSSL that judges, and of the backend; and
// that crypto/tls calls tickets good for a week, although their keys do not live
// as long.
var excused = []string{
	"cert_chain_of_trust", "cert_trust", "cert_notAfter", "cert_expirationStatus", "cert_validityPeriod", "cert_extlifeSpan", "cert_serialNumberLen",
	"cert_crlDistributionPoints", "cert_revocation", "cert_ocspURL", "cert_caIssuers", "cert_commonName", "cert_commonName_wo_SNI", "DNS_CAArecord", "OCSP_stapling",
	"engine_problem", "HSTS", "security_headers", "banner_application", "TLS_session_ticket",
}

func TestTestSSL(t *testing.T) {
	if !*testSSL {
		t.Skip("without -testssl")
	}
	install(t, "testssl")
	g := start(t, webServer(t), "", httpRoute)
	file := filepath.Join(t.TempDir(), "report.json")
	run := exec.CommandContext(t.Context(), "testssl", "--quiet", "--color", "0", "--warnings", "off", "--jsonfile", file, "--ip", "127.0.0.1", fmt.Sprintf("%s:%d", hostname, g.secure))
	out, err := run.CombinedOutput() // its exit code counts findings
	text, readErr := os.ReadFile(file)
	if readErr != nil {
		t.Fatalf("%v %v\n%s", err, readErr, out)
	}
	var findings []struct{ ID, Severity, Finding string }
	if err := json.Unmarshal(text, &findings); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d findings", len(findings))
	if len(findings) < 50 {
		t.Errorf("testssl.sh has judged %d things only\n%s", len(findings), out)
	}
	for _, f := range findings {
		if slices.Contains([]string{"LOW", "MEDIUM", "HIGH", "CRITICAL", "WARN", "FATAL"}, f.Severity) && !slices.Contains(excused, f.ID) {
			t.Errorf("%s %s: %s", f.Severity, f.ID, f.Finding)
		}
	}
}

// Who offers protocols of which none is served gets no connection in another
// one (ALPACA); who offers none gets HTTP/1.1.
func TestApplicationProtocols(t *testing.T) {
	g := start(t, webServer(t), "", httpRoute)
	for name, test := range map[string]struct {
		offered []string
		chosen  string
		alert   string
	}{
		"ftp":       {[]string{"ftp"}, "", "no application protocol"},
		"smtp, ftp": {[]string{"smtp", "ftp"}, "", "no application protocol"},
		"ftp, h2":   {[]string{"ftp", "h2"}, "h2", ""},
		"http/1.1":  {[]string{"http/1.1"}, "http/1.1", ""},
		"none":      {nil, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", g.secure), g.tls(test.offered...))
			if err != nil {
				if test.alert == "" || !strings.Contains(err.Error(), test.alert) {
					t.Errorf("the handshake failed: %v", err)
				}
				return
			}
			defer conn.Close()
			if got := conn.ConnectionState().NegotiatedProtocol; test.alert != "" || got != test.chosen {
				t.Errorf("%q was chosen", got)
			}
		})
	}
}

// A name that no listener has gets no certificate of another.
func TestUnknownServerName(t *testing.T) {
	port := freePort(t)
	g := start(t, webServer(t), "", fmt.Sprintf(two, port))
	config := g.tls("h2")
	config.ServerName, config.InsecureSkipVerify = "none.example", true
	conn, err := tls.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port), config)
	if err == nil {
		conn.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "unrecognized name") {
		t.Errorf("the handshake ended with %v", err)
	}
}

// splitter sends what it is to write in pieces of some bytes, each a segment. The
// first record is split into records of these sizes too.
type splitter struct {
	net.Conn
	records, segments int
	split             bool
}

func (s *splitter) Write(p []byte) (int, error) {
	out := p
	if !s.split && s.records > 0 {
		s.split = true
		size := 5 + int(binary.BigEndian.Uint16(p[3:]))
		out = nil
		for part := range slices.Chunk(p[5:size], s.records) {
			out = append(out, p[0], p[1], p[2], byte(len(part)>>8), byte(len(part)))
			out = append(out, part...)
		}
		out = append(out, p[size:]...)
	}
	for part := range slices.Chunk(out, s.segments) {
		if _, err := s.Conn.Write(part); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

// A ClientHello may come in as many records and segments as it likes, and be as
// large as its limit.
func TestClientHelloInPieces(t *testing.T) {
	g := start(t, webServer(t), "", httpRoute)
	long := []string{"h2"}
	for i := range 55 {
		long = append(long, fmt.Sprintf("%0250d", i))
	}
	for name, test := range map[string]struct {
		records, segments int
		protocols         []string
	}{
		"segments of a byte":     {0, 1, []string{"h2"}},
		"records of a few bytes": {16, 1 << 16, []string{"h2"}},
		"both":                   {100, 3, []string{"h2"}},
		"large":                  {0, 1 << 16, long},
		"large, in pieces":       {200, 100, long},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", g.secure))
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			raw.SetDeadline(time.Now().Add(20 * time.Second))
			conn := tls.Client(&splitter{Conn: raw, records: test.records, segments: test.segments}, g.tls(test.protocols...))
			if err := conn.Handshake(); err != nil {
				t.Fatal(err)
			}
			p := newPeer(conn)
			p.greet()
			p.headers(1, true, p.get())
			if got := p.until(t, "200", "4", "5", "GOAWAY", "RST_STREAM"); got != "200" {
				t.Errorf("answered with %s", got)
			}
		})
	}
}

// record is one of TLS in clear text.
func record(kind byte, payload ...byte) []byte {
	return append([]byte{kind, 3, 3, byte(len(payload) >> 8), byte(len(payload))}, payload...)
}

const (
	recordAlert     = 21
	recordHandshake = 22
	recordData      = 23
)

// What comes before a handshake's end and leads nowhere ends it.
func TestFloodsBeforeHandshake(t *testing.T) {
	g := start(t, webServer(t), "", httpRoute)
	for name, flood := range map[string][]byte{
		"warnings":              record(recordAlert, 1, 90),
		"empty records":         record(recordHandshake),
		"hello without measure": append(record(recordHandshake, append([]byte{1, 0xff, 0xff, 0xff}, make([]byte, 1000)...)...), record(recordHandshake, make([]byte, 1000)...)...),
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", g.secure))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			conn.SetDeadline(time.Now().Add(20 * time.Second))
			endsUnder(t, conn, func() []byte { return flood })
		})
	}
}

// endsUnder writes what next returns until the other side ends the connection.
func endsUnder(t *testing.T, conn net.Conn, next func() []byte) {
	t.Helper()
	over := make(chan error, 1)
	go func() {
		_, err := io.Copy(io.Discard, conn)
		over <- err
	}()
	for range 100_000 {
		if _, err := conn.Write(next()); err != nil {
			break
		}
		if len(over) > 0 {
			break
		}
	}
	var slow net.Error
	if err := <-over; errors.As(err, &slow) && slow.Timeout() {
		t.Error("the connection goes on")
	}
}

// sealer writes records of TLS 1.3 as a client whose secret is known.
type sealer struct {
	secret   []byte
	aead     cipher.AEAD
	iv       []byte
	sequence uint64
}

func newSealer(t *testing.T, secret []byte) *sealer {
	t.Helper()
	s := &sealer{secret: secret}
	block, err := aes.NewCipher(expand(t, secret, "key", 16))
	if err != nil {
		t.Fatal(err)
	}
	if s.aead, err = cipher.NewGCM(block); err != nil {
		t.Fatal(err)
	}
	s.iv = expand(t, secret, "iv", 12)
	return s
}

// expand is HKDF-Expand-Label (RFC 8446 section 7.1).
func expand(t *testing.T, secret []byte, label string, length int) []byte {
	t.Helper()
	label = "tls13 " + label
	info := append([]byte{byte(length >> 8), byte(length), byte(len(label))}, label...)
	out, err := hkdf.Expand(sha256.New, secret, string(append(info, 0)), length)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func (s *sealer) seal(kind byte, payload ...byte) []byte {
	nonce := slices.Clone(s.iv)
	for i := range 8 {
		nonce[4+i] ^= byte(s.sequence >> (56 - 8*i))
	}
	s.sequence++
	plain := append(payload, kind)
	header := record(recordData, make([]byte, len(plain)+s.aead.Overhead())...)[:5]
	return s.aead.Seal(slices.Clone(header), nonce, plain, header)
}

// secrets takes the client's secret from what a connection logs of its keys.
type secrets struct{ client []byte }

func (s *secrets) Write(line []byte) (int, error) {
	if fields := strings.Fields(string(line)); len(fields) == 3 && fields[0] == "CLIENT_TRAFFIC_SECRET_0" {
		s.client, _ = hex.DecodeString(fields[2])
	}
	return len(line), nil
}

// What costs the gateway work on a connection in TLS and leads nowhere ends it.
func TestFloodsInTLS(t *testing.T) {
	g := start(t, webServer(t), "", httpRoute)
	for name, next := range map[string]func(t *testing.T, s *sealer) []byte{
		"empty records": func(t *testing.T, s *sealer) []byte { return s.seal(recordData) },
		"warnings":      func(t *testing.T, s *sealer) []byte { return s.seal(recordAlert, 1, 90) },
		"KeyUpdate": func(t *testing.T, s *sealer) []byte {
			out := s.seal(recordHandshake, 24, 0, 0, 1, 0)
			*s = *newSealer(t, expand(t, s.secret, "traffic upd", 32))
			return out
		},
		"KeyUpdate that asks for one": func(t *testing.T, s *sealer) []byte {
			out := s.seal(recordHandshake, 24, 0, 0, 1, 1)
			*s = *newSealer(t, expand(t, s.secret, "traffic upd", 32))
			return out
		},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", g.secure))
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			raw.SetDeadline(time.Now().Add(20 * time.Second))
			keys := new(secrets)
			config := g.tls("h2")
			config.KeyLogWriter = keys
			conn := tls.Client(raw, config)
			if err := conn.Handshake(); err != nil {
				t.Fatal(err)
			}
			if suite := conn.ConnectionState().CipherSuite; suite != tls.TLS_AES_128_GCM_SHA256 {
				t.Skipf("the connection has cipher %s, not AES-128", tls.CipherSuiteName(suite))
			}
			s := newSealer(t, keys.client)
			var plain bytes.Buffer
			p := newPeer(conn)
			p.out.Reset(&plain)
			p.greet()
			p.headers(1, true, p.get())
			p.out.Flush()
			raw.Write(s.seal(recordData, plain.Bytes()...))
			if got := p.until(t, "200", "GOAWAY"); got != "200" {
				t.Fatalf("what was sealed by hand was answered with %s", got)
			}
			endsUnder(t, raw, func() []byte { return next(t, s) })
		})
	}
}

// HTTP in clear text on a port of TLS is told so.
func TestClearTextOnPortOfTLS(t *testing.T) {
	g := start(t, webServer(t), "", httpRoute)
	resp, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", g.secure))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("answered with %s", resp.Status)
	}
}
