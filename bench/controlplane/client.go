package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// client sends requests to a Gateway for one hostname.
type client struct {
	http.Client
	address, hostname string
}

func newClient(address, hostname string, connections int) *client {
	return &client{
		Client:  http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: connections}},
		address: address, hostname: hostname,
	}
}

// answer is the status code, and if that is 200, the name of the backend's port
// and the header field "round".
type answer struct {
	code        int
	name, round string
}

func (c *client) get(ctx context.Context) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.address+"/", nil)
	if err != nil {
		return answer{}, err
	}
	request.Host = c.hostname
	response, err := c.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer response.Body.Close()
	a := answer{code: response.StatusCode, round: response.Header.Get("Round")}
	if a.code != http.StatusOK {
		return a, nil
	}
	var body struct{ Name string }
	err = json.NewDecoder(response.Body).Decode(&body)
	a.name = body.Name
	return a, err
}

// until200 asks each 5 ms, and returns what came that is neither 404 nor 200.
func (c *client) until200(ctx context.Context) (unexpected []string, err error) {
	next := time.NewTicker(5 * time.Millisecond)
	defer next.Stop()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); {
		a, err := c.get(ctx)
		switch {
		case ctx.Err() != nil:
			return unexpected, ctx.Err()
		case err != nil:
			unexpected = append(unexpected, err.Error())
		case a.code == http.StatusOK:
			return unexpected, nil
		case a.code != http.StatusNotFound:
			unexpected = append(unexpected, fmt.Sprintf("the answer is %d", a.code))
		}
		<-next.C
	}
	return unexpected, fmt.Errorf("%s is not served after 30 s", c.hostname)
}
