/** The server's REST interface as an embedding application calls it: JSON in an envelope. */
export interface Access {
  server: string;
  token: string;
}

export async function ask<Data>(
  { server, token }: Access,
  method: string,
  path: string,
  body?: unknown,
): Promise<Data> {
  const answer = await fetch(server + path, {
    method,
    headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const envelope = await answer.json();
  if (!envelope.success) throw new Error(`${answer.status} ${envelope.error.code}`);
  return envelope.data;
}
