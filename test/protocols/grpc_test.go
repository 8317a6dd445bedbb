package protocols

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/interop"
	testpb "google.golang.org/grpc/interop/grpc_testing"
)

// grpcRoute leads every method to the backend.
const grpcRoute = `
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: all, namespace: default}
spec:
  parentRefs: [{name: gateway}]
  rules:
  - backendRefs: [{name: backend, port: 80}]
`

// interopCases are the cases of gRPC's interop client that need no cloud.
var interopCases = []string{
	"empty_unary", "large_unary", "client_streaming", "server_streaming", "ping_pong", "empty_stream",
	"timeout_on_sleeping_server", "cancel_after_begin", "cancel_after_first_response",
	"status_code_and_message", "special_status_message", "custom_metadata",
	"unimplemented_method", "unimplemented_service",
	"rpc_soak", "channel_soak",
}

// TestGRPCInterop runs gRPC's own client against its own server, with the
// gateway between them.
func TestGRPCInterop(t *testing.T) {
	client := filepath.Join(t.TempDir(), "client")
	if out, err := exec.Command("go", "build", "-o", client, "google.golang.org/grpc/interop/client").CombinedOutput(); err != nil {
		t.Fatalf("building the interop client: %v\n%s", err, out)
	}
	g := start(t, interopServer(t), "", grpcRoute)
	authority := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(authority, g.chain, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"h2c": {"--server_port", strconv.Itoa(g.clear)},
		"tls": {"--server_port", strconv.Itoa(g.secure), "--use_tls", "--use_test_ca", "--ca_file", authority, "--server_host_override", hostname},
	} {
		for _, test := range interopCases {
			t.Run(name+"/"+test, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				run := exec.CommandContext(ctx, client, append(args, "--server_host", "127.0.0.1", "--test_case", test)...)
				if out, err := run.CombinedOutput(); err != nil {
					t.Errorf("%v\n%s", err, out)
				}
			})
		}
	}
}

// interopServer is gRPC's.
func interopServer(t *testing.T) net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	testpb.RegisterTestServiceServer(server, interop.NewTestServer())
	go server.Serve(l)
	t.Cleanup(server.Stop)
	return l.Addr()
}
