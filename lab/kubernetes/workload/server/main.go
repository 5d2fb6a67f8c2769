// A small HTTP/1.1 server that ends in the way it is told to: server MODE ADDRESS TIME_OF_AN_ANSWER CONTROL.
//
// What TERM does: shutdown answers what is in flight and closes idle connections; close answers nothing; exit ends at once; ignore does
// nothing, so that KILL must come.
//
// GET ADDRESS/ answers after the time given. GET CONTROL/eat never answers: it takes memory until the kernel kills for it.
package main

import (
	"bytes"
	"context"
	"log"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

var body = bytes.Repeat([]byte("x"), 150)

func main() {
	mode, address, control := os.Args[1], os.Args[2], os.Args[4]
	answerTime, err := time.ParseDuration(os.Args[3])
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Addr: address, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(answerTime)
		w.Write(body)
	})}
	http.HandleFunc("/eat", func(http.ResponseWriter, *http.Request) { eat() })
	go func() { log.Fatal(http.ListenAndServe(control, nil)) }()
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	ended := make(chan struct{})
	go func() {
		for range told {
			if mode == "ignore" {
				continue
			}
			stop(server, mode)
			close(ended)
			return
		}
	}()
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
	<-ended
}

func stop(server *http.Server, mode string) {
	switch mode {
	case "shutdown":
		server.Shutdown(context.Background())
	case "close":
		server.Close()
	case "exit":
		os.Exit(0)
	default:
		log.Fatalf("there is no mode %q", mode)
	}
}

func eat() {
	var eaten [][]byte
	for {
		page := bytes.Repeat([]byte{1}, 1<<20)
		eaten = append(eaten, page)
		_ = eaten
	}
}
