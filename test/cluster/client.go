//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// client speaks to the API server as the cluster's administrator.
type client struct{ http *http.Client }

func newClient() (client, error) {
	ca, err := os.ReadFile(pki + "/ca.crt")
	if err != nil {
		return client{}, err
	}
	own, err := tls.LoadX509KeyPair(kubeconfig+".crt", kubeconfig+".key")
	if err != nil {
		return client{}, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return client{&http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{own}},
	}}}, nil
}

// do sends a request and returns the body of an answer that is no error.
func (c client) do(ctx context.Context, method, path, contentType string, body []byte) (io.ReadCloser, error) {
	request, err := http.NewRequestWithContext(ctx, method, apiServer+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.Header.Set("Content-Type", contentType)
	response, err := c.http.Do(request)
	if err != nil {
		return nil, err
	}
	if response.StatusCode >= 300 {
		defer response.Body.Close()
		why, _ := io.ReadAll(io.LimitReader(response.Body, 1000))
		return nil, fmt.Errorf("%s %s: %s: %s", method, path, response.Status, why)
	}
	return response.Body, nil
}

// get reads an object into v, if it is not nil.
func (c client) get(ctx context.Context, path string, v any) error {
	body, err := c.do(ctx, http.MethodGet, path, "", nil)
	if err != nil {
		return err
	}
	defer body.Close()
	if v == nil {
		return nil
	}
	return json.NewDecoder(body).Decode(v)
}

// until asks again and again until a condition holds.
func (c client) until(ctx context.Context, what string, holds func(context.Context) error) error {
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := holds(attempt)
		cancel()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waited %s until %s: %w", patience, what, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (c client) healthy(ctx context.Context) error { return c.get(ctx, "/readyz", nil) }

// nodesReady holds when as many nodes are ready.
func (c client) nodesReady(ctx context.Context, want int) error {
	var nodes struct {
		Items []struct {
			Status struct {
				Conditions []struct{ Type, Status, Message string }
			}
		}
	}
	if err := c.get(ctx, "/api/v1/nodes", &nodes); err != nil {
		return err
	}
	ready, message := 0, ""
	for _, node := range nodes.Items {
		for _, condition := range node.Status.Conditions {
			if condition.Type == "Ready" && condition.Status == "True" {
				ready++
			} else if condition.Type == "Ready" {
				message = condition.Message
			}
		}
	}
	if ready < want {
		return fmt.Errorf("%d of %d nodes are ready %s", ready, want, message)
	}
	return nil
}
