import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpRequest.BodyPublishers;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.file.Path;

/** A request of Java's own client: METHOD URL CONTENT-TYPE FILE length|chunked. Prints the status and the body of the answer. */
class Post {
    public static void main(String[] args) throws Exception {
        var file = BodyPublishers.ofFile(Path.of(args[3]));
        var body = args[4].equals("chunked") ? BodyPublishers.fromPublisher(file) : file;
        var request = HttpRequest.newBuilder(URI.create(args[1])).header("Content-Type", args[2]).method(args[0], body).build();
        var answer = HttpClient.newHttpClient().send(request, BodyHandlers.ofString());
        System.out.print(answer.statusCode() + " " + answer.body());
    }
}
