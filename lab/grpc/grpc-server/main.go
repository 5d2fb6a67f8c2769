// See ../start.
package main

import (
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

var body = wrapperspb.String(strings.Repeat("x", 150))

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:8080")
	if err != nil {
		log.Fatal(err)
	}
	// One handler of every method: no code need be generated.
	server := grpc.NewServer(grpc.UnknownServiceHandler(answer))
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	done := make(chan struct{})
	go func() {
		<-terminated
		switch os.Args[1] {
		case "graceful":
			server.GracefulStop()
		case "limited":
			limit := time.AfterFunc(time.Second, server.Stop)
			server.GracefulStop()
			limit.Stop()
		default:
			server.Stop()
		}
		close(done)
	}()
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
	<-done
}

func answer(_ any, stream grpc.ServerStream) error {
	if err := stream.RecvMsg(&emptypb.Empty{}); err != nil {
		return err
	}
	if method, _ := grpc.MethodFromServerStream(stream); method == "/lab.Lab/Slow" {
		if err := waitAtTheGate(); err != nil {
			return status.Error(codes.Unavailable, err.Error())
		}
	}
	return stream.SendMsg(body)
}

func waitAtTheGate() error {
	gate, err := net.Dial("unix", "gate")
	if err != nil {
		return err
	}
	defer gate.Close()
	io.WriteString(gate, "GET /slow HTTP/1.0\r\n\r\n")
	_, err = io.Copy(io.Discard, gate)
	return err
}
