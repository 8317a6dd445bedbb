package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
)

// probe applies routes one after the other and asks for each until it is there.
// Until then the answer is 404; any other is an error. Each route has a second
// rule whose backend does not exist, which must hurt the first one never.
func probe(ctx context.Context, b *bench) error {
	address, err := b.gateway(ctx, "gateway")
	if err != nil {
		return err
	}
	if err := b.echo(ctx, "echo"); err != nil {
		return err
	}
	client := newClient(1)
	var whole, after []time.Duration
	wrong := 0
	for i := range b.probe {
		hostname := fmt.Sprintf("route-%d.example", i)
		start := time.Now()
		if _, err := b.gateways.HTTPRoutes(b.namespace).Create(ctx, b.probed(fmt.Sprintf("route-%d", i), hostname), metav1.CreateOptions{}); err != nil {
			return err
		}
		applied := time.Now()
		unexpected, err := client.until200(ctx, address, hostname)
		if err != nil {
			return err
		}
		for _, u := range unexpected {
			say("probe: %s: %s", hostname, u)
		}
		wrong += len(unexpected)
		whole, after = append(whole, time.Since(start)), append(after, time.Since(applied))
	}
	say("probe: %d routes: from the API server's answer to the first 200: median %v, p99 %v, most %v; with the API server's time p99 %v; %d errors",
		b.probe, quantile(after, 0.5), quantile(after, 0.99), quantile(after, 1), quantile(whole, 0.99), wrong)
	return errors.Join(
		goal("p99 from apply to the first 200", quantile(whole, 0.99), 50*time.Millisecond),
		goal("errors", wrong, 0),
	)
}

func (b *bench) probed(name, hostname string) *gatewayv1.HTTPRoute {
	r := b.route(name, "gateway", hostname, "echo")
	r.Spec.Rules[0].Filters = []gatewayv1.HTTPRouteFilter{{
		Type:                  gatewayv1.HTTPRouteFilterRequestHeaderModifier,
		RequestHeaderModifier: &gatewayv1.HTTPHeaderFilter{Set: []gatewayv1.HTTPHeader{{Name: "route", Value: name}}},
	}}
	path, prefix := "/broken", gatewayv1.PathMatchPathPrefix
	r.Spec.Rules = append(r.Spec.Rules, gatewayv1.HTTPRouteRule{
		Matches:     []gatewayv1.HTTPRouteMatch{{Path: &gatewayv1.HTTPPathMatch{Type: &prefix, Value: &path}}},
		BackendRefs: []gatewayv1.HTTPBackendRef{backendRef("absent", 80)},
	})
	return r
}

// client asks the Gateway for a hostname.
type client struct{ http.Client }

func newClient(connections int) client {
	return client{http.Client{
		Timeout:   5 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: connections},
	}}
}

// get returns the status code.
func (c client) get(ctx context.Context, address, hostname string) (int, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+address+"/", nil)
	if err != nil {
		return 0, err
	}
	request.Host = hostname
	response, err := c.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return response.StatusCode, err
}

// until200 asks each 5 ms, and returns what came that is neither 404 nor 200.
func (c client) until200(ctx context.Context, address, hostname string) (unexpected []string, err error) {
	next := time.NewTicker(5 * time.Millisecond)
	defer next.Stop()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		code, err := c.get(ctx, address, hostname)
		switch {
		case ctx.Err() != nil:
			return unexpected, ctx.Err()
		case err != nil:
			unexpected = append(unexpected, err.Error())
		case code == http.StatusOK:
			return unexpected, nil
		case code != http.StatusNotFound:
			unexpected = append(unexpected, http.StatusText(code))
		}
		<-next.C
	}
	return unexpected, fmt.Errorf("%s is not served after 30 s", hostname)
}

// quantile is the value that the share q of all is not above.
func quantile(all []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))].Round(100 * time.Microsecond)
}
