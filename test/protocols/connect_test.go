package protocols

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
)

// connectConfig is what a proxy is asked for. That of each message is up to the
// client and the server, so two codecs and two compressions will do.
const connectConfig = `
features:
  versions: [HTTP_VERSION_1, HTTP_VERSION_2]
  protocols: [PROTOCOL_CONNECT, PROTOCOL_GRPC, PROTOCOL_GRPC_WEB]
  codecs: [CODEC_PROTO, CODEC_JSON]
  compressions: [COMPRESSION_IDENTITY, COMPRESSION_GZIP]
  supportsHalfDuplexBidiOverHttp1: true
`

// webDeadlines are cases whose end is a race: the gateway ends a call of gRPC-Web
// at its deadline as the server does, and cannot put a status behind messages that
// it passes on as they are.
const webDeadlines = "Timeouts/*/Protocol:PROTOCOL_GRPC_WEB/**"

// connectServer is the variable that tells TestConnectServer of Connect's own
// server.
const connectServer = "CONNECT_SERVER"

// TestConnect runs Connect's own client against its own server, with the gateway
// between them, for Connect, gRPC and gRPC-Web.
func TestConnect(t *testing.T) {
	dir := t.TempDir()
	for _, program := range []string{"connectconformance", "referenceserver"} {
		build := exec.Command("go", "build", "-o", filepath.Join(dir, program), "connectrpc.com/conformance/cmd/"+program)
		if out, err := build.CombinedOutput(); err != nil {
			t.Fatalf("building %s: %v\n%s", program, err, out)
		}
	}
	config := filepath.Join(dir, "config.yaml")
	if err := os.WriteFile(config, []byte(connectConfig), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	judge := exec.CommandContext(ctx, filepath.Join(dir, "connectconformance"), "--mode", "server", "--conf", config, "--max-servers", "2",
		"--known-flaky", webDeadlines,
		"--", os.Args[0], "-test.run=^TestConnectServer$")
	judge.Env = append(os.Environ(), connectServer+"="+filepath.Join(dir, "referenceserver"), "SLUICE="+sluice)
	out, err := judge.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	cases := regexp.MustCompile(`Total cases: (\d+)`).FindSubmatch(out)
	if cases == nil || string(cases[1]) == "0" {
		t.Fatalf("no case was run\n%s", out)
	}
	t.Logf("%s cases", cases[1])
}

// TestConnectServer is the server that TestConnect has run: Connect's own, behind
// a gateway. It is asked for one on its standard input and tells its address on
// its standard output.
func TestConnectServer(t *testing.T) {
	reference := os.Getenv(connectServer)
	if reference == "" {
		t.Skip("TestConnect runs this")
	}
	ctx, stop := signal.NotifyContext(t.Context(), syscall.SIGTERM)
	defer stop()
	wanted, inside := splitRequest(t, readMessage(t, os.Stdin))

	server := exec.CommandContext(ctx, reference)
	server.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	input, err := server.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	server.Stderr = os.Stderr
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	writeMessage(t, input, inside)
	backend := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(number(readMessage(t, output), 2))}

	appProtocol := ""
	if wanted.version == 2 {
		appProtocol = "kubernetes.io/h2c"
	}
	g := start(t, backend, appProtocol, httpRoute)
	answer := protowire.AppendString(protowire.AppendTag(nil, 1, protowire.BytesType), "127.0.0.1")
	port := g.clear
	if wanted.tls {
		port = g.secure
		answer = protowire.AppendBytes(protowire.AppendTag(answer, 3, protowire.BytesType), g.chain)
	}
	answer = protowire.AppendVarint(protowire.AppendTag(answer, 2, protowire.VarintType), uint64(port))
	writeMessage(t, os.Stdout, answer)
	<-ctx.Done()
	server.Wait()
}

// connectWanted is what a server is asked to be.
type connectWanted struct {
	version uint64
	tls     bool
}

// splitRequest takes out of a ServerCompatRequest what is the gateway's affair:
// TLS and its certificates. The rest is for the server behind it.
func splitRequest(t *testing.T, request []byte) (wanted connectWanted, inside []byte) {
	t.Helper()
	const useTLS, clientCert, serverCreds = 4, 5, 7
	wanted = connectWanted{version: number(request, 2), tls: number(request, useTLS) != 0}
	for len(request) > 0 {
		field, _, n := protowire.ConsumeField(request)
		if n < 0 {
			t.Fatal(protowire.ParseError(n))
		}
		if field != useTLS && field != clientCert && field != serverCreds {
			inside = append(inside, request[:n]...)
		}
		request = request[n:]
	}
	return wanted, inside
}

// number is the value of a field of a message, 0 if it has none.
func number(message []byte, wanted protowire.Number) uint64 {
	for len(message) > 0 {
		field, kind, n := protowire.ConsumeTag(message)
		if n < 0 {
			return 0
		}
		if field == wanted && kind == protowire.VarintType {
			value, _ := protowire.ConsumeVarint(message[n:])
			return value
		}
		_, _, n = protowire.ConsumeField(message)
		message = message[max(n, 1):]
	}
	return 0
}

func readMessage(t *testing.T, r io.Reader) []byte {
	t.Helper()
	var size uint32
	if err := binary.Read(r, binary.BigEndian, &size); err != nil {
		t.Fatal(err)
	}
	message := make([]byte, size)
	if _, err := io.ReadFull(r, message); err != nil {
		t.Fatal(err)
	}
	return message
}

func writeMessage(t *testing.T, w io.Writer, message []byte) {
	t.Helper()
	if _, err := w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...)); err != nil {
		t.Fatal(err)
	}
}
