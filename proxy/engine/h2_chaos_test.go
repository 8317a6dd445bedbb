package engine_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sluicegateway/sluice/config"
)

// erratic is a backend that does what the request's path says to it, and names
// the path in each answer.
func erratic(w http.ResponseWriter, r *http.Request) {
	_, mood, _ := strings.Cut(r.URL.Path[1:], "/")
	switch mood {
	case "early":
		http.NewResponseController(w).EnableFullDuplex()
		io.WriteString(w, r.URL.Path)
		w.(http.Flusher).Flush()
		io.Copy(io.Discard, r.Body)
		return
	case "deaf": // leaves the body
	case "reset":
		panic(http.ErrAbortHandler)
	case "half":
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, "/half")
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	case "busy":
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(503)
		return
	case "large":
		io.Copy(io.Discard, r.Body)
		io.WriteString(w, r.URL.Path)
		w.Write(make([]byte, 300_000))
		return
	default:
		io.Copy(io.Discard, r.Body)
	}
	io.WriteString(w, r.URL.Path)
}

// Whatever clients and backends do, no response reaches another request, and in
// the end all is well.
func TestResponsesBelongToTheirRequestsInAllVersions(t *testing.T) {
	inVersions(t, func(p *pair) {
		p.serve(config.Rule{Retry: &config.Retry{Codes: []int{503}, Attempts: 1, Backoff: 1}}, erratic)
		var users sync.WaitGroup
		for i := range 8 {
			users.Go(func() {
				random := rand.New(rand.NewPCG(2, uint64(i)))
				for n := range 60 {
					p.ask(random, i*1000+n)
				}
			})
		}
		users.Wait()
		for range 20 {
			if resp, body := p.do(request("PUT", "/0/calm", strings.NewReader("x"))); resp.StatusCode != 200 || body != "/0/calm" {
				p.Errorf("at the end: got %d %q", resp.StatusCode, body)
			}
		}
	})
}

// ask sends a request, perhaps gives it up, and checks the answer.
func (p *pair) ask(random *rand.Rand, id int) {
	moods := []string{"calm", "calm", "calm", "early", "deaf", "reset", "half", "busy", "large"}
	sizes := []int{0, 0, 10, 5_000, 70_000, 300_000}
	path := fmt.Sprintf("/%d/%s", id, moods[random.IntN(len(moods))])
	var body io.Reader = strings.NewReader(strings.Repeat("x", sizes[random.IntN(len(sizes))]))
	if random.IntN(3) == 0 {
		body = unsized{body}
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	if random.IntN(8) == 0 {
		time.AfterFunc(time.Duration(random.IntN(2000))*time.Microsecond, cancel)
	}
	resp, err := p.client.Do(request("PUT", path, body).WithContext(ctx))
	if err != nil {
		return
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode == 200 && strings.TrimRight(string(answer), "\x00") != path {
		p.Errorf("the request for %s got the answer %.80q", path, answer)
	}
}
