package echo_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/sluicegateway/sluice/cli/echo"
)

func TestAnswer(t *testing.T) {
	r := httptest.NewRequest("POST", "http://shop.example/a%2Fb//c?x=1", strings.NewReader("hello"))
	r.Header.Set("Env", "canary")
	w := httptest.NewRecorder()
	echo.Handler("web-v1").ServeHTTP(w, r)

	var got echo.Answer
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if w.Code != 200 || got.Name != "web-v1" || got.Method != "POST" || got.Host != "shop.example" ||
		got.Path != "/a%2Fb//c" || got.Query != "x=1" || got.Headers.Get("Env") != "canary" || got.BodyBytes != 5 {
		t.Errorf("%d %+v", w.Code, got)
	}
}

func TestWishes(t *testing.T) {
	for query, want := range map[string]int{
		"status=503": 503, "delay=1ms": 200, "status=204": 204,
		"status=abc": 400, "status=101": 400, "status=700": 400, "delay=1h": 400, "delay=-1s": 400, "delay=x": 400,
	} {
		w := httptest.NewRecorder()
		echo.Handler("e").ServeHTTP(w, httptest.NewRequest("GET", "/?"+query, nil))
		if w.Code != want {
			t.Errorf("%s: status %d, want %d", query, w.Code, want)
		}
	}
}

func TestDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		echo.Handler("e").ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?delay=30s", nil))
		if d := time.Since(start); d != 30*time.Second {
			t.Errorf("answered after %v", d)
		}
	})
}

func TestWebSocket(t *testing.T) {
	server := httptest.NewServer(echo.Handler("e"))
	defer server.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, server.URL+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {"http://else.example"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	if err := conn.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if _, got, err := conn.Read(ctx); err != nil || string(got) != "hello" {
		t.Errorf("%q, %v", got, err)
	}
}
