package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
)

// callServerCommand makes this program a server of gRPC that sends back what it gets.
const callServerCommand = "call-server"

func startCallServer(ps *processes) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	port, err := freePort()
	if err != nil {
		return "", err
	}
	address := fmt.Sprintf("127.0.0.1:%d", port)
	_, err = ps.start("calls", []string{"GOMAXPROCS=2"}, self, callServerCommand, address)
	return address, err
}

func serveCalls(listen string) {
	server := &http.Server{Addr: listen, Protocols: new(http.Protocols), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		buffer := make([]byte, 16<<10)
		for {
			n, err := r.Body.Read(buffer)
			w.Write(buffer[:n])
			if err == io.EOF {
				break
			}
			if err != nil {
				return
			}
		}
		w.Header().Set("Grpc-Status", "0")
	}), HTTP2: &http.HTTP2Config{MaxConcurrentStreams: 250}}
	server.Protocols.SetUnencryptedHTTP2(true)
	server.Protocols.SetHTTP1(true)
	fmt.Fprintln(os.Stderr, server.ListenAndServe())
}
