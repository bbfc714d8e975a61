import "./styles/tokens.css";
import "./styles/base.css";
import "./styles/parts.css";
import "./styles/pages.css";
import { createRoot } from "react-dom/client";
import { App } from "./app";
import { landOnLink } from "./state";

landOnLink();

const root = document.getElementById("root");
if (root === null) throw new Error("index.html has no #root");
createRoot(root).render(<App />);
