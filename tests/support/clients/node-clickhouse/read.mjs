// Reads from a ClickHouse endpoint in the ways of ClickHouse's own client; prints what it got as one JSON object.
import { createClient } from '@clickhouse/client';

const client = createClient({
  url: process.argv[2],
  session_id: 'a-session',
  compression: { response: true },
  clickhouse_settings: { output_format_json_quote_64bit_integers: 1 },
});
const said = { ping: (await client.ping()).success };

const rows = await client.query({
  query: 'SELECT Name, SpanCount FROM traces WHERE ServiceName = {service:String}',
  query_params: { service: 'node' },
  format: 'JSONEachRow',
});
said.rows = await rows.json();

const whole = await client.query({ query: 'SELECT 1 AS one', format: 'JSON' });
said.whole = (await whole.json()).data;

const streamed = await client.query({ query: 'SELECT number FROM numbers(300000)', format: 'JSONCompactEachRow' });
said.streamed = 0;
for await (const batch of streamed.stream()) said.streamed += batch.length;

const refused = async (action) => {
  try {
    await action();
    return 'it ran';
  } catch (error) {
    return error.type ?? error.name;
  }
};
said.insert = await refused(() => client.insert({ table: 'otel_traces', values: [{ TraceId: 'x' }], format: 'JSONEachRow' }));
said.command = await refused(() => client.command({ query: 'DROP TABLE otel_traces' }));
said.failing = await refused(async () => {
  const query = 'SELECT number FROM numbers(3000000) WHERE throwIf(number = 2900000) = 0';
  const result = await client.query({ query, format: 'JSONEachRow' });
  for await (const _ of result.stream());
});
await client.close();
console.log(JSON.stringify(said));
