// See start.
package lab;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.StandardProtocolFamily;
import java.net.UnixDomainSocketAddress;
import java.nio.ByteBuffer;
import java.nio.channels.SocketChannel;
import java.nio.charset.StandardCharsets;
import org.springframework.boot.SpringApplication;
import org.springframework.boot.autoconfigure.SpringBootApplication;
import org.springframework.boot.autoconfigure.condition.ConditionalOnWebApplication;
import org.springframework.boot.autoconfigure.condition.ConditionalOnWebApplication.Type;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.RestController;
import reactor.core.publisher.Mono;
import reactor.core.scheduler.Schedulers;

@SpringBootApplication
public class App {
    static final String BODY = "x".repeat(150);

    public static void main(String[] arguments) {
        SpringApplication.run(App.class, arguments);
    }

    @RestController
    static class Root {
        @GetMapping("/")
        String root() {
            return BODY;
        }
    }

    // A servlet's thread may wait; an event loop's may not.
    @RestController
    @ConditionalOnWebApplication(type = Type.SERVLET)
    static class Slow {
        @GetMapping("/slow")
        String slow() {
            return waitAtTheGate();
        }
    }

    @RestController
    @ConditionalOnWebApplication(type = Type.REACTIVE)
    static class ReactiveSlow {
        @GetMapping("/slow")
        Mono<String> slow() {
            return Mono.fromCallable(App::waitAtTheGate).subscribeOn(Schedulers.boundedElastic());
        }
    }

    static String waitAtTheGate() {
        try (var gate = SocketChannel.open(StandardProtocolFamily.UNIX)) {
            gate.connect(UnixDomainSocketAddress.of("gate"));
            gate.write(StandardCharsets.US_ASCII.encode("GET /slow HTTP/1.0\r\n\r\n"));
            var answer = ByteBuffer.allocate(4096);
            while (gate.read(answer) >= 0) {
                answer.clear();
            }
            return BODY;
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
