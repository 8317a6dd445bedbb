package cli

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// adminVariable is the environment variable that says where the admin listener is.
const adminVariable = "SLUICE_ADMIN"

// maxAnswer bounds what is read from an admin listener, in bytes.
const maxAnswer = 1 << 30

// addAdminFlag adds the flag for the admin listener's address.
func addAdminFlag(c *cobra.Command, address *string) {
	c.Flags().StringVar(address, "admin", cmp.Or(os.Getenv(adminVariable), "127.0.0.1:9901"),
		"`address` of the admin listener; "+adminVariable+" in the environment sets the default")
}

func adminError(address string) error {
	return fmt.Errorf("--admin %q: write HOST:PORT, such as 127.0.0.1:9901", address)
}

// askAdmin asks the admin listener of a running gateway. The body is JSON, nil
// for a GET; the answer is decoded into answer.
func askAdmin(ctx context.Context, address, path string, body, answer any) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return usageError{adminError(address)}
	}
	if host == "" {
		// A gateway that listens on all addresses is told so in the same way.
		address = net.JoinHostPort("127.0.0.1", port)
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	method, content := http.MethodGet, []byte(nil)
	if body != nil {
		if content, err = json.Marshal(body); err != nil {
			return err
		}
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+address+path, bytes.NewReader(content))
	if err != nil {
		return fmt.Errorf("admin listener %s: %w", address, err)
	}
	// A proxy of the environment is no way to a loopback address.
	client := http.Client{Transport: &http.Transport{}}
	response, err := client.Do(request)
	if errors.Is(err, syscall.ECONNREFUSED) {
		return fmt.Errorf("no gateway runs with its admin listener at %s: start one with 'sluice run', "+
			"say where it is with --admin (in a cluster, where kubectl port-forward leads), or give PATHs to look at files instead", address)
	}
	if err != nil {
		return fmt.Errorf("admin listener %s: %w", address, err)
	}
	defer response.Body.Close()
	content, err = io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	switch {
	case err != nil:
		return fmt.Errorf("admin listener %s: %w", address, err)
	case response.StatusCode == http.StatusBadRequest:
		return errors.New(strings.TrimSpace(string(content))) // it is about what was asked
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("admin listener %s: %s: %s", address, response.Status, strings.TrimSpace(string(content)))
	}
	if err := json.Unmarshal(content, answer); err != nil {
		return fmt.Errorf("admin listener %s: %w", address, err)
	}
	return nil
}
