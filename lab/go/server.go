// See start.
package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

var body = bytes.Repeat([]byte("x"), 150)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { w.Write(body) })
	http.HandleFunc("/slow", slow)
	plain := &http.Server{Addr: "127.0.0.1:8080"}
	// An empty table of protocols is how HTTP/2 is switched off.
	none := map[string]func(*http.Server, *tls.Conn, http.Handler){}
	secure := &http.Server{Addr: "127.0.0.1:8443", TLSNextProto: none}
	h2 := &http.Server{Addr: "127.0.0.1:8444"}
	servers := []*http.Server{plain, secure, h2}
	go serve(plain.ListenAndServe)
	for _, server := range servers[1:] {
		server := server
		server.ErrorLog = log.New(io.Discard, "", 0)
		go serve(func() error { return server.ListenAndServeTLS("cert.pem", "key.pem") })
	}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	<-terminated
	stop(servers, os.Args[1])
}

// Waits at the gate before it answers.
func slow(w http.ResponseWriter, r *http.Request) {
	gate, err := net.Dial("unix", "gate")
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer gate.Close()
	io.WriteString(gate, "GET /slow HTTP/1.0\r\n\r\n")
	io.Copy(io.Discard, gate)
	w.Write(body)
}

func stop(servers []*http.Server, how string) {
	limit, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for _, server := range servers {
		switch how {
		case "shutdown":
			server.Shutdown(limit)
		case "close":
			server.Close()
		}
	}
}

func serve(listen func() error) {
	if err := listen(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}
