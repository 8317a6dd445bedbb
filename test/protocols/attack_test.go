package protocols

import (
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/net/http2"
)

var (
	attackTime = flag.Duration("attack.time", time.Second, "how long each attack lasts")
	attackRate = flag.Int("attack.rate", 20_000, "how many frames a second the attackers send together")
	againstToo = flag.Bool("attack.nginx", false, "attack nginx too, and hold the latency of good clients to twice of what it keeps")
)

// growth is how much anonymous memory of the gateway an attack may take.
const growth = 64 << 20

// attack is what a hostile client does on each of its connections. When one
// ends, it opens the next.
type attack struct {
	connections int
	settings    []http2.Setting
	begin       func(p *peer)
	next        func(p *peer, i int) // what it repeats; nil to wait
	deaf        bool                 // it reads nothing
	strict      bool                 // the gateway's times are short

	// ends is how the gateway ends the connections, other than by closing them;
	// empty if they may go on.
	ends []string
	// answers is what streams get before that.
	answers string
}

// toll is what an attack did.
type toll struct {
	began, ends time.Time
	frames      atomic.Int64 // of all attackers
	connections atomic.Int64
	heard       heard
}

// due reports whether the attackers may send more by now.
func (l *toll) due() bool {
	return float64(l.frames.Load()) < time.Since(l.began).Seconds()*float64(*attackRate)
}

// run attacks for a time.
func (a *attack) run(address string, lasts time.Duration) *toll {
	result := &toll{began: time.Now(), ends: time.Now().Add(lasts)}
	var wg sync.WaitGroup
	for range a.connections {
		wg.Go(func() {
			for time.Now().Before(result.ends) {
				if result.due() {
					a.connection(address, result)
				} else {
					time.Sleep(time.Millisecond)
				}
			}
		})
	}
	wg.Wait()
	return result
}

// connection attacks on one connection until that ends, or the time.
func (a *attack) connection(address string, result *toll) {
	p, err := dialPeer(address, a.settings...)
	if err != nil {
		result.heard.add("no connection")
		time.Sleep(10 * time.Millisecond)
		return
	}
	defer p.conn.Close()
	p.conn.SetDeadline(result.ends)
	result.connections.Add(1)
	p.frames = &result.frames
	if a.begin != nil {
		a.begin(p)
	}
	p.out.Flush()
	over := make(chan struct{})
	if a.deaf {
		time.AfterFunc(time.Until(result.ends), func() { close(over) })
	} else {
		go func() {
			defer close(over)
			p.hear(func(_ uint32, word string) bool { result.heard.add(word); return false })
		}()
	}
	if a.next != nil {
		a.repeat(p, over, result)
	}
	<-over
}

// repeat does what the attack repeats, at the attackers' rate, until that fails.
func (a *attack) repeat(p *peer, over chan struct{}, result *toll) {
	for i := 0; ; {
		for most := i + 100; i < most && result.due(); i++ {
			a.next(p, i)
		}
		if p.out.Flush() != nil {
			return
		}
		pause := time.Millisecond
		if result.due() {
			pause = 0
		}
		select {
		case <-over:
			return
		case <-time.After(pause):
		}
	}
}

// patrons are good clients: four connections, each with a request every five
// milliseconds while there is an attack.
type patrons struct {
	stop  chan struct{}
	wg    sync.WaitGroup
	mu    sync.Mutex
	waits []time.Duration
	wrong []string
}

func startPatrons(address string) *patrons {
	ps := &patrons{stop: make(chan struct{})}
	for range 4 {
		transport := &http.Transport{Protocols: new(http.Protocols)}
		transport.Protocols.SetUnencryptedHTTP2(true)
		client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
		ps.wg.Go(func() {
			defer transport.CloseIdleConnections()
			for tick := time.NewTicker(5 * time.Millisecond); ; {
				ps.ask(client, address)
				select {
				case <-ps.stop:
					return
				case <-tick.C:
				}
			}
		})
	}
	return ps
}

func (ps *patrons) ask(client *http.Client, address string) {
	began := time.Now()
	resp, err := client.Get("http://" + address + "/")
	if err == nil {
		if _, err = io.Copy(io.Discard, resp.Body); err == nil && resp.StatusCode != http.StatusOK {
			err = fmt.Errorf("answered %s", resp.Status)
		}
		resp.Body.Close()
	}
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.waits = append(ps.waits, time.Since(began))
	if err != nil {
		ps.wrong = append(ps.wrong, err.Error())
	}
}

// leave has them go and returns how many they were, and the 99th percentile of
// how long they waited.
func (ps *patrons) leave() (int, time.Duration) {
	close(ps.stop)
	ps.wg.Wait()
	slices.Sort(ps.waits)
	return len(ps.waits), ps.waits[len(ps.waits)*99/100].Round(10 * time.Microsecond)
}

// memoryWatch samples the anonymous memory of a process.
type memoryWatch struct {
	pid        int
	base, peak int64
	stop, done chan struct{}
}

func watchMemory(t *testing.T, pid int) *memoryWatch {
	t.Helper()
	base := anonymous(pid)
	if base == 0 {
		t.Fatal("the gateway's memory cannot be read")
	}
	m := &memoryWatch{pid: pid, base: base, peak: base, stop: make(chan struct{}), done: make(chan struct{})}
	go func() {
		defer close(m.done)
		for {
			m.peak = max(m.peak, anonymous(pid))
			select {
			case <-m.stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	}()
	return m
}

// grown is by how many bytes it was larger than at first.
func (m *memoryWatch) grown() int64 {
	close(m.stop)
	<-m.done
	return max(m.peak, anonymous(m.pid)) - m.base
}

// anonymous is a process's resident anonymous memory in bytes, 0 if it is gone.
func anonymous(pid int) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	_, rest, _ := strings.Cut(string(text), "RssAnon:")
	line, _, _ := strings.Cut(rest, " kB")
	kib, _ := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	return kib << 10
}

// hold attacks a gateway while it has good clients, and holds what this cost.
func (a *attack) hold(t *testing.T, backend net.Addr) {
	policy := ""
	if a.strict {
		policy = strictTimes
	}
	g := start(t, backend, "", httpRoute+policy)
	address := fmt.Sprintf("127.0.0.1:%d", g.clear)
	good := startPatrons(address)
	memory := watchMemory(t, g.pid)
	result := a.run(address, *attackTime)
	grown := memory.grown()
	asked, p99 := good.leave()
	t.Logf("%d frames on %d connections were answered with %s; memory grew by %d KiB; p99 of %d good requests %v",
		result.frames.Load(), result.connections.Load(), &result.heard, grown>>10, asked, p99)
	if grown > growth {
		t.Errorf("the gateway's memory grew by %d MiB", grown>>20)
	}
	if len(good.wrong) > 0 {
		t.Errorf("%d of %d good requests went wrong, such as: %s", len(good.wrong), asked, good.wrong[0])
	}
	a.check(t, result)
	if *againstToo {
		a.compare(t, backend)
	}
}

// check holds how the connections ended.
func (a *attack) check(t *testing.T, result *toll) {
	t.Helper()
	ended := false
	for word := range result.heard.words {
		switch {
		case slices.Contains(a.ends, word):
			ended = true
		case strings.HasPrefix(word, "GOAWAY"):
			t.Errorf("a connection ended with %s, want %q", word, a.ends)
		}
	}
	if len(a.ends) > 0 && !ended {
		t.Errorf("no connection ended with %q", a.ends)
	}
	if a.answers != "" && result.heard.words[a.answers] == 0 {
		t.Errorf("no stream was answered with %s", a.answers)
	}
}

// compare holds the 99th percentile of good clients to twice of what nginx keeps.
// Both have their usual times, and some rounds, since whatever else runs on the
// machine falls on one of them.
func (a *attack) compare(t *testing.T, backend net.Addr) {
	ours, theirs := fmt.Sprintf("127.0.0.1:%d", start(t, backend, "", httpRoute).clear), startNginx(t, backend)
	for range 3 {
		var waited [2]time.Duration
		for i, address := range []string{ours, theirs} {
			good := startPatrons(address)
			a.run(address, *attackTime)
			_, waited[i] = good.leave()
		}
		t.Logf("p99 of good requests %v; with nginx %v", waited[0], waited[1])
		if waited[0] <= 2*waited[1] {
			return
		}
	}
	t.Error("good clients wait more than twice as long as with nginx")
}
