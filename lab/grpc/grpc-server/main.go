// See ../start.
package main

import (
	"io"
	"log"
	"net"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

var body = wrapperspb.String(strings.Repeat("x", 150))

func main() {
	secure, err := credentials.NewServerTLSFromFile("cert.pem", "key.pem")
	if err != nil {
		log.Fatal(err)
	}
	// One handler of every method: no code need be generated.
	every := grpc.UnknownServiceHandler(answer)
	servers := []*grpc.Server{grpc.NewServer(every), grpc.NewServer(every, grpc.Creds(secure))}
	terminated := make(chan os.Signal, 1)
	signal.Notify(terminated, syscall.SIGTERM)
	for i, address := range []string{"127.0.0.1:8080", "127.0.0.1:8443"} {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			log.Fatal(err)
		}
		go serve(servers[i], listener)
	}
	<-terminated
	var stops sync.WaitGroup
	for _, server := range servers {
		stops.Add(1)
		go func(server *grpc.Server) {
			defer stops.Done()
			stop(server, os.Args[1])
		}(server)
	}
	stops.Wait()
}

func serve(server *grpc.Server, listener net.Listener) {
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}

func stop(server *grpc.Server, how string) {
	switch how {
	case "graceful":
		server.GracefulStop()
	case "limited":
		limit := time.AfterFunc(time.Second, server.Stop)
		server.GracefulStop()
		limit.Stop()
	default:
		server.Stop()
	}
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
