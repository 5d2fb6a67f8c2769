// Clients of the server, for those who count: client IDLE BUSY plain|tls1.2|tls1.3. Each has a connection of its own, on which a call is
// answered; the busy ones then wait at the gate. It prints "ready", waits until every connection has ended, and prints what it saw as JSON.
package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

type counts struct {
	Connections   int `json:"connections"`
	Asked         int `json:"asked"`
	Answered      int `json:"answered"`
	ClosedByPeer  int `json:"closed_by_peer"`
	ClosedByUs    int `json:"closed_by_us"`
	ClosedByReset int `json:"closed_by_reset"`
}

var (
	mutex sync.Mutex
	seen  counts
	ended sync.WaitGroup
)

func main() {
	idle, err := strconv.Atoi(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	busy, err := strconv.Atoi(os.Args[2])
	if err != nil {
		log.Fatal(err)
	}
	address, security := transport(os.Args[3])
	var callers []*grpc.ClientConn
	for i := 0; i < idle+busy; i++ {
		caller := connect(address, security)
		call(caller, "/lab.Lab/Now")
		callers = append(callers, caller)
	}
	var calls sync.WaitGroup
	for _, caller := range callers[idle:] {
		calls.Add(1)
		go func(caller *grpc.ClientConn) {
			defer calls.Done()
			call(caller, "/lab.Lab/Slow")
		}(caller)
	}
	os.Stdout.WriteString("ready\n")
	ended.Wait()
	calls.Wait()
	mutex.Lock()
	defer mutex.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(seen); err != nil {
		log.Fatal(err)
	}
}

func transport(name string) (string, credentials.TransportCredentials) {
	if name == "plain" {
		return "127.0.0.1:8080", insecure.NewCredentials()
	}
	version := uint16(tls.VersionTLS13)
	if name == "tls1.2" {
		version = tls.VersionTLS12
	}
	config := &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version}
	return "127.0.0.1:8443", credentials.NewTLS(config)
}

// A client that connects once and never again.
func connect(address string, security credentials.TransportCredentials) *grpc.ClientConn {
	var once sync.Once
	dial := func(ctx context.Context, address string) (net.Conn, error) {
		var connection net.Conn
		err := error(syscall.ECONNREFUSED)
		once.Do(func() { connection, err = new(net.Dialer).DialContext(ctx, "tcp", address) })
		if err != nil {
			return nil, err
		}
		count(func() { seen.Connections++ })
		ended.Add(1)
		return &watched{Conn: connection}, nil
	}
	caller, err := grpc.Dial("passthrough:///"+address,
		grpc.WithTransportCredentials(security), grpc.WithContextDialer(dial), grpc.WithDisableRetry())
	if err != nil {
		log.Fatal(err)
	}
	return caller
}

func call(caller *grpc.ClientConn, method string) {
	count(func() { seen.Asked++ })
	if err := caller.Invoke(context.Background(), method, &emptypb.Empty{}, &wrapperspb.StringValue{}); err != nil {
		log.Print(method, ": ", err)
		return
	}
	count(func() { seen.Answered++ })
}

// A connection whose first end is counted.
type watched struct {
	net.Conn
	once sync.Once
}

func (w *watched) Read(to []byte) (int, error) {
	length, err := w.Conn.Read(to)
	if errors.Is(err, io.EOF) {
		w.end(&seen.ClosedByPeer)
	} else if errors.Is(err, syscall.ECONNRESET) {
		w.end(&seen.ClosedByReset)
	}
	return length, err
}

func (w *watched) Close() error {
	err := w.Conn.Close()
	w.end(&seen.ClosedByUs)
	return err
}

func (w *watched) end(how *int) {
	w.once.Do(func() {
		count(func() { *how++ })
		ended.Done()
	})
}

func count(change func()) {
	mutex.Lock()
	defer mutex.Unlock()
	change()
}
