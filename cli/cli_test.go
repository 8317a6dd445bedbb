package cli_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/sluicegateway/sluice/cli"
	"github.com/sluicegateway/sluice/examples/trial"
)

// patience bounds every wait of a script.
const patience = 30 * time.Second

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"sluice":    func() { os.Exit(cli.Main()) },
		"request":   func() { os.Exit(request(os.Args[1:])) },
		"request3":  func() { os.Exit(request3(os.Args[1])) },
		"apiserver": func() { os.Exit(serveAPI(os.Args[1:])) },
	})
}

// TestScripts runs testdata. Beside testscript's own commands the scripts have
//
//	expand FILE…                replace $VARIABLES in files
//	exits CODE COMMAND…         run a command that ends with that exit code
//	eventually REGEXP COMMAND…  repeat a command until it prints what matches
//	signal NAME SUBCOMMAND      send a signal to sluice in the background
//	edit FILE OLD NEW           replace a file as an editor does, by renaming
//	certificates                make certificates for Secrets (see there)
//
// the programs request, request3 and apiserver (see there), and ports that are free: $PORT, $PORT2,
// $BACKEND, $BACKEND2, $HEALTH, $APISERVER, and $SLUICE_ADMIN.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata",
		Setup: setFreePorts(t),
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"expand":       expand,
			"exits":        exits,
			"eventually":   eventually,
			"signal":       sendSignal,
			"edit":         edit,
			"certificates": certificates,
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

func setFreePorts(t *testing.T) func(*testscript.Env) error {
	return func(env *testscript.Env) error {
		for _, name := range []string{"PORT", "PORT2", "BACKEND", "BACKEND2", "ADMIN_PORT", "HEALTH", "APISERVER"} {
			env.Setenv(name, strconv.Itoa(trial.FreePort(t)))
		}
		env.Setenv("SLUICE_ADMIN", "127.0.0.1:"+env.Getenv("ADMIN_PORT"))
		return nil
	}
}

func expand(ts *testscript.TestScript, neg bool, files []string) {
	for _, name := range files {
		path := ts.MkAbs(name)
		ts.Check(os.WriteFile(path, []byte(os.Expand(ts.ReadFile(name), ts.Getenv)), 0o644))
	}
}

func edit(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: edit FILE OLD NEW")
	}
	content := ts.ReadFile(args[0])
	if !strings.Contains(content, args[1]) {
		ts.Fatalf("%s does not have %q", args[0], args[1])
	}
	path := ts.MkAbs(args[0])
	ts.Check(os.WriteFile(path+"~", []byte(strings.ReplaceAll(content, args[1], args[2])), 0o644))
	ts.Check(os.Rename(path+"~", path))
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	if failed := (*exec.ExitError)(nil); errors.As(err, &failed) {
		code = failed.ExitCode()
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s", code, args[0])
	}
}

func eventually(ts *testscript.TestScript, neg bool, args []string) {
	pattern := regexp.MustCompile("(?m)" + args[0])
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		err := ts.Exec(args[1], args[2:]...)
		output := ts.ReadFile("stdout") + ts.ReadFile("stderr")
		switch {
		case pattern.MatchString(output):
			return
		case time.Now().After(end):
			ts.Fatalf("after %v still %v:\n%s", patience, err, output)
		}
	}
}

func sendSignal(ts *testscript.TestScript, neg bool, args []string) {
	number := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "INT": syscall.SIGINT, "HUP": syscall.SIGHUP}[args[0]]
	for _, command := range ts.BackgroundCmds() {
		if len(command.Args) > 1 && command.Args[1] == args[1] {
			ts.Check(command.Process.Signal(number))
			return
		}
	}
	ts.Fatalf("sluice %s does not run", args[1])
}

// request sends one request and prints the response: status, headers, body.
//
//	request [METHOD] URL [NAME: VALUE]…
func request(args []string) int {
	method := http.MethodGet
	if !strings.Contains(args[0], "/") {
		method, args = args[0], args[1:]
	}
	r, err := http.NewRequest(method, args[0], nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	r.Close = true
	for _, header := range args[1:] {
		name, value, _ := strings.Cut(header, ": ")
		r.Header.Add(name, value)
		if name == "Host" {
			r.Host = value
		}
	}
	return show((&http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}).RoundTrip(r))
}

// request3 sends a request in HTTP/3 to the port of a URL at 127.0.0.1, and prints
// the response as request does.
//
//	request3 URL
func request3(url string) int {
	r, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 2
	}
	transport := &http3.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		QUICConfig:      &quic.Config{HandshakeIdleTimeout: time.Second},
		Dial: func(ctx context.Context, _ string, t *tls.Config, q *quic.Config) (*quic.Conn, error) {
			return quic.DialAddrEarly(ctx, net.JoinHostPort("127.0.0.1", r.URL.Port()), t, q)
		},
	}
	defer transport.Close()
	return show(transport.RoundTrip(r))
}

func show(response *http.Response, err error) int {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer response.Body.Close()
	fmt.Println(response.Proto, response.Status)
	_ = response.Header.Write(os.Stdout)
	fmt.Println()
	if _, err := io.Copy(os.Stdout, response.Body); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}
